-- A column without a default: writes the catalogue only, whatever the size of the table.
ALTER TABLE customer ADD COLUMN full_name varchar(61);

-- Keeps both shapes equal, whichever version writes. What the row holds already is left alone, so that
-- the backfill does not split "Maria da" "Silva" anew.
CREATE FUNCTION customer_names() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.full_name IS NOT DISTINCT FROM NEW.first_name || ' ' || NEW.last_name THEN
    RETURN NEW;
  END IF;
  IF NEW.full_name IS NOT NULL AND (TG_OP = 'INSERT' OR NEW.full_name IS DISTINCT FROM OLD.full_name) THEN
    NEW.first_name := split_part(NEW.full_name, ' ', 1);
    NEW.last_name := substr(NEW.full_name, length(NEW.first_name) + 2);
  ELSE
    NEW.full_name := NEW.first_name || ' ' || NEW.last_name;
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER customer_names BEFORE INSERT OR UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION customer_names();
