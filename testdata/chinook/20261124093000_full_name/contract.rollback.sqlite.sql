-- Back from the attic: writes the catalogue only.
ALTER TABLE Customer RENAME COLUMN AtticFirstName TO FirstName;
ALTER TABLE Customer RENAME COLUMN AtticLastName TO LastName;
