-- Into the attic. SQLite renames the columns in the triggers along, which go on keeping it in step.
ALTER TABLE Customer RENAME COLUMN FirstName TO AtticFirstName;
ALTER TABLE Customer RENAME COLUMN LastName TO AtticLastName;
