-- switchback:batch table=Customer key=CustomerId size=20
UPDATE Customer SET FullName = CONCAT(FirstName, ' ', LastName) WHERE FullName IS NULL AND :batch;
