-- switchback:batch table=customer key=customer_id size=20
UPDATE customer SET full_name = first_name || ' ' || last_name WHERE full_name IS NULL AND :batch;
