-- switchback:batch table=customers key=id size=500
UPDATE customers SET full_name = trim(first_name || ' ' || last_name) WHERE full_name IS NULL AND :batch;
