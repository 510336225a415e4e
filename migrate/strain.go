package migrate

import "time"

// OpenTransaction is a transaction that is under way in a database.
type OpenTransaction struct {
	Blocker               // whose it is
	Open    time.Duration // since it began
}

// Strain is what weighs on a database's server at a moment.
type Strain struct {
	Transactions []OpenTransaction // of others, in this database, the longest first; prepared ones included
	Free         int               // how many more connections this user may open
}
