-- Adds a column that may be NULL: SQLite only writes the catalogue, whatever the size of the table.
ALTER TABLE customers ADD COLUMN full_name TEXT;

-- From here on both shapes are kept equal, whichever version writes. A trigger that finds them equal
-- already does nothing, so the two directions never set each other off.
CREATE TRIGGER customers_full_name_insert AFTER INSERT ON customers
WHEN NEW.full_name IS NULL
BEGIN
  UPDATE customers SET full_name = trim(NEW.first_name || ' ' || NEW.last_name) WHERE id = NEW.id;
END;

CREATE TRIGGER customers_full_name_update AFTER UPDATE OF first_name, last_name ON customers
WHEN NEW.full_name IS NOT trim(NEW.first_name || ' ' || NEW.last_name)
BEGIN
  UPDATE customers SET full_name = trim(NEW.first_name || ' ' || NEW.last_name) WHERE id = NEW.id;
END;

CREATE TRIGGER customers_names_insert AFTER INSERT ON customers
WHEN NEW.full_name IS NOT NULL AND NEW.full_name IS NOT trim(NEW.first_name || ' ' || NEW.last_name)
BEGIN
  UPDATE customers
  SET first_name = substr(NEW.full_name, 1, instr(NEW.full_name || ' ', ' ') - 1),
      last_name = substr(NEW.full_name, instr(NEW.full_name || ' ', ' ') + 1)
  WHERE id = NEW.id;
END;

CREATE TRIGGER customers_names_update AFTER UPDATE OF full_name ON customers
WHEN NEW.full_name IS NOT trim(NEW.first_name || ' ' || NEW.last_name)
BEGIN
  UPDATE customers
  SET first_name = substr(NEW.full_name, 1, instr(NEW.full_name || ' ', ' ') - 1),
      last_name = substr(NEW.full_name, instr(NEW.full_name || ' ', ' ') + 1)
  WHERE id = NEW.id;
END;
