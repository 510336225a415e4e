-- Into the attic. The trigger goes on keeping it in step, in the same transaction under its new names.
ALTER TABLE customer RENAME COLUMN first_name TO attic_first_name;
ALTER TABLE customer RENAME COLUMN last_name TO attic_last_name;
CREATE OR REPLACE FUNCTION customer_names() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.full_name IS DISTINCT FROM NEW.attic_first_name || ' ' || NEW.attic_last_name THEN
    NEW.attic_first_name := split_part(NEW.full_name, ' ', 1);
    NEW.attic_last_name := substr(NEW.full_name, length(NEW.attic_first_name) + 2);
  END IF;
  RETURN NEW;
END
$$;
