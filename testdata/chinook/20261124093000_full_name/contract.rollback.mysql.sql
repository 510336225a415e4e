-- Back from the attic: writes the catalogue only.
DROP TRIGGER customer_names_update;
DROP TRIGGER customer_names_insert;
ALTER TABLE Customer RENAME COLUMN AtticFirstName TO FirstName, RENAME COLUMN AtticLastName TO LastName;

CREATE TRIGGER customer_names_update BEFORE UPDATE ON Customer FOR EACH ROW
BEGIN
  IF NEW.FullName <=> CONCAT(NEW.FirstName, ' ', NEW.LastName) THEN
    SET NEW.FullName = NEW.FullName;
  ELSEIF NEW.FullName IS NOT NULL AND NOT NEW.FullName <=> OLD.FullName THEN
    SET NEW.FirstName = SUBSTRING_INDEX(NEW.FullName, ' ', 1);
    SET NEW.LastName = SUBSTRING(NEW.FullName, CHAR_LENGTH(NEW.FirstName) + 2);
  ELSE
    SET NEW.FullName = CONCAT(NEW.FirstName, ' ', NEW.LastName);
  END IF;
END;

CREATE TRIGGER customer_names_insert BEFORE INSERT ON Customer FOR EACH ROW
BEGIN
  IF NEW.FullName IS NULL THEN
    SET NEW.FullName = CONCAT(NEW.FirstName, ' ', NEW.LastName);
  ELSEIF NOT NEW.FullName <=> CONCAT(NEW.FirstName, ' ', NEW.LastName) THEN
    SET NEW.FirstName = SUBSTRING_INDEX(NEW.FullName, ' ', 1);
    SET NEW.LastName = SUBSTRING(NEW.FullName, CHAR_LENGTH(NEW.FirstName) + 2);
  END IF;
END;

-- What was written while there were no triggers. Green alone is running then, and writes FullName.
UPDATE Customer
SET FirstName = SUBSTRING_INDEX(FullName, ' ', 1), LastName = SUBSTRING(FullName, CHAR_LENGTH(SUBSTRING_INDEX(FullName, ' ', 1)) + 2)
WHERE NOT FullName <=> CONCAT(FirstName, ' ', LastName);
