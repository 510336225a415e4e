-- switchback:foreign-keys off
-- Green does not write FirstName and LastName, so that they need defaults, which SQLite gives to a new
-- table only (https://www.sqlite.org/lang_altertable.html#otheralter).
CREATE TABLE "Customer_rebuilt"
(
    "CustomerId" INTEGER NOT NULL,
    "FirstName" NVARCHAR(40) NOT NULL DEFAULT '',
    "LastName" NVARCHAR(20) NOT NULL DEFAULT '',
    "Company" NVARCHAR(80),
    "Address" NVARCHAR(70),
    "City" NVARCHAR(40),
    "State" NVARCHAR(40),
    "Country" NVARCHAR(40),
    "PostalCode" NVARCHAR(10),
    "Phone" NVARCHAR(24),
    "Fax" NVARCHAR(24),
    "Email" NVARCHAR(60) NOT NULL,
    "SupportRepId" INTEGER,
    "FullName" NVARCHAR(61),
    CONSTRAINT "PK_Customer" PRIMARY KEY ("CustomerId"),
    FOREIGN KEY ("SupportRepId") REFERENCES "Employee" ("EmployeeId") ON DELETE NO ACTION ON UPDATE NO ACTION
);
INSERT INTO "Customer_rebuilt" ("CustomerId", "FirstName", "LastName", "Company", "Address", "City", "State", "Country", "PostalCode", "Phone", "Fax", "Email", "SupportRepId")
SELECT "CustomerId", "FirstName", "LastName", "Company", "Address", "City", "State", "Country", "PostalCode", "Phone", "Fax", "Email", "SupportRepId" FROM "Customer";
DROP TABLE "Customer";
ALTER TABLE "Customer_rebuilt" RENAME TO "Customer";
CREATE INDEX "IFK_CustomerSupportRepId" ON "Customer" ("SupportRepId");

-- Keep both shapes equal, whichever version writes.
CREATE TRIGGER customer_full_name_insert AFTER INSERT ON Customer WHEN NEW.FullName IS NULL
BEGIN
  UPDATE Customer SET FullName = NEW.FirstName || ' ' || NEW.LastName WHERE CustomerId = NEW.CustomerId;
END;

CREATE TRIGGER customer_full_name_update AFTER UPDATE OF FirstName, LastName ON Customer
WHEN NEW.FullName IS NOT NEW.FirstName || ' ' || NEW.LastName
BEGIN
  UPDATE Customer SET FullName = NEW.FirstName || ' ' || NEW.LastName WHERE CustomerId = NEW.CustomerId;
END;

CREATE TRIGGER customer_names_insert AFTER INSERT ON Customer
WHEN NEW.FullName IS NOT NULL AND NEW.FullName IS NOT NEW.FirstName || ' ' || NEW.LastName
BEGIN
  UPDATE Customer
  SET FirstName = substr(NEW.FullName, 1, instr(NEW.FullName || ' ', ' ') - 1), LastName = substr(NEW.FullName, instr(NEW.FullName || ' ', ' ') + 1)
  WHERE CustomerId = NEW.CustomerId;
END;

CREATE TRIGGER customer_names_update AFTER UPDATE OF FullName ON Customer
WHEN NEW.FullName IS NOT NULL AND NEW.FullName IS NOT NEW.FirstName || ' ' || NEW.LastName
BEGIN
  UPDATE Customer
  SET FirstName = substr(NEW.FullName, 1, instr(NEW.FullName || ' ', ' ') - 1), LastName = substr(NEW.FullName, instr(NEW.FullName || ' ', ' ') + 1)
  WHERE CustomerId = NEW.CustomerId;
END;
