-- Nothing is lost: what was written through full_name is in first_name and last_name as well.
DROP TRIGGER customer_names ON customer;
DROP FUNCTION customer_names();
ALTER TABLE customer DROP COLUMN full_name;
