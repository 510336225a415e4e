-- Instant: a column that may be NULL at the end, and defaults for what green does not write.
ALTER TABLE Customer ADD COLUMN FullName varchar(61) CHARACTER SET utf8mb3, ALGORITHM = INSTANT;
ALTER TABLE Customer ALTER COLUMN FirstName SET DEFAULT '', ALTER COLUMN LastName SET DEFAULT '', ALGORITHM = INSTANT;

-- Keep both shapes equal, whichever version writes. What is equal already is left alone, so that the
-- backfill does not split "Maria da" "Silva" anew. The one for updates comes first: a row that only the
-- one for inserts has seen could get out of step before the other is there, and no backfill would find it.
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
