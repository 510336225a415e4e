-- Nothing is lost: what was written through FullName is in FirstName and LastName as well.
DROP TRIGGER customer_names_update;
DROP TRIGGER customer_names_insert;
ALTER TABLE Customer ALTER COLUMN FirstName DROP DEFAULT, ALTER COLUMN LastName DROP DEFAULT, ALGORITHM = INSTANT;
ALTER TABLE Customer DROP COLUMN FullName;
