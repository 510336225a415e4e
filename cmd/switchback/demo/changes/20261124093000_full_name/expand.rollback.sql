-- Nothing is lost: what was written through full_name is in first_name and last_name as well.
DROP TRIGGER customers_names_update;
DROP TRIGGER customers_names_insert;
DROP TRIGGER customers_full_name_update;
DROP TRIGGER customers_full_name_insert;
ALTER TABLE customers DROP COLUMN full_name;
