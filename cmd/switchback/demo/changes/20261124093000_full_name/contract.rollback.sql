-- Back from the attic: writes the catalogue only.
ALTER TABLE customers RENAME COLUMN attic_last_name TO last_name;
ALTER TABLE customers RENAME COLUMN attic_first_name TO first_name;
