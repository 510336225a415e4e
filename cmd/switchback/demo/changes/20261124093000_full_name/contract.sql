-- Into the attic: nothing finds the old columns any more, but the triggers, which SQLite renames along,
-- still keep them in step. A rollback takes them from there, whatever was written meanwhile.
ALTER TABLE customers RENAME COLUMN first_name TO attic_first_name;
ALTER TABLE customers RENAME COLUMN last_name TO attic_last_name;
