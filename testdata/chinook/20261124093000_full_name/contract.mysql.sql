-- Into the attic: writes the catalogue only. A trigger would not find the new names, so that they are
-- made again.
DROP TRIGGER customer_names_update;
DROP TRIGGER customer_names_insert;
ALTER TABLE Customer RENAME COLUMN FirstName TO AtticFirstName, RENAME COLUMN LastName TO AtticLastName;

CREATE TRIGGER customer_names_update BEFORE UPDATE ON Customer FOR EACH ROW
BEGIN
  IF NEW.FullName <=> CONCAT(NEW.AtticFirstName, ' ', NEW.AtticLastName) THEN
    SET NEW.FullName = NEW.FullName;
  ELSEIF NEW.FullName IS NOT NULL AND NOT NEW.FullName <=> OLD.FullName THEN
    SET NEW.AtticFirstName = SUBSTRING_INDEX(NEW.FullName, ' ', 1);
    SET NEW.AtticLastName = SUBSTRING(NEW.FullName, CHAR_LENGTH(NEW.AtticFirstName) + 2);
  ELSE
    SET NEW.FullName = CONCAT(NEW.AtticFirstName, ' ', NEW.AtticLastName);
  END IF;
END;

CREATE TRIGGER customer_names_insert BEFORE INSERT ON Customer FOR EACH ROW
BEGIN
  IF NEW.FullName IS NULL THEN
    SET NEW.FullName = CONCAT(NEW.AtticFirstName, ' ', NEW.AtticLastName);
  ELSEIF NOT NEW.FullName <=> CONCAT(NEW.AtticFirstName, ' ', NEW.AtticLastName) THEN
    SET NEW.AtticFirstName = SUBSTRING_INDEX(NEW.FullName, ' ', 1);
    SET NEW.AtticLastName = SUBSTRING(NEW.FullName, CHAR_LENGTH(NEW.AtticFirstName) + 2);
  END IF;
END;

-- What was written while there were no triggers. Green alone is running then, and writes FullName.
UPDATE Customer
SET AtticFirstName = SUBSTRING_INDEX(FullName, ' ', 1), AtticLastName = SUBSTRING(FullName, CHAR_LENGTH(SUBSTRING_INDEX(FullName, ' ', 1)) + 2)
WHERE NOT FullName <=> CONCAT(AtticFirstName, ' ', AtticLastName);
