-- Back from the attic: writes the catalogue only.
ALTER TABLE customer RENAME COLUMN attic_first_name TO first_name;
ALTER TABLE customer RENAME COLUMN attic_last_name TO last_name;
CREATE OR REPLACE FUNCTION customer_names() RETURNS trigger LANGUAGE plpgsql AS $$
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
