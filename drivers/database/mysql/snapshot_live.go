package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

var _ snapshot.Live = (*Database)(nil)

// Identity implements snapshot.Live. A server has a number of its own; older ones of MariaDB are known by their host, port
// and folder.
func (d *Database) Identity(ctx context.Context) (name, identity string, err error) {
	query := "SELECT @@server_uuid"
	if d.engine == migrate.MariaDB {
		query = `SELECT coalesce((SELECT nullif(variable_value, '') FROM information_schema.global_variables WHERE variable_name = 'SERVER_UID'), concat_ws(':', @@hostname, @@port, @@datadir))`
	}
	var server string
	if err := d.db.QueryRowContext(ctx, query).Scan(&server); err != nil {
		return "", "", fmt.Errorf("ask which server this is: %w", err)
	}
	return fmt.Sprintf("%s://%s/%s", d.engine, d.config.Addr, d.name), fmt.Sprintf("%s:%s/%s", d.engine, server, d.name), nil
}

// maxName is how long a name may be.
const maxName = 64

// named is the name of a database that belongs to this one. A long one is cut, and made unique again by its hash.
func (d *Database) named(suffix string) string {
	if len(d.name)+len(suffix) <= maxName {
		return d.name + suffix
	}
	sum := sha256.Sum256([]byte(d.name))
	hash := "_" + hex.EncodeToString(sum[:4])
	return strings.ToValidUTF8(d.name[:maxName-len(suffix)-len(hash)], "") + hash + suffix
}

// Displaced implements snapshot.Live: a database beside this one.
func (d *Database) Displaced(now time.Time) string {
	return d.named("__old_" + strings.Replace(now.UTC().Format("20060102150405.000"), ".", "", 1))
}

// neighbour is the database beside the live one that a snapshot is built in.
type neighbour struct {
	*site
	live *Database
}

// Beside implements snapshot.Live. A database of that name that we did not make is left alone, and is an error.
func (d *Database) Beside(ctx context.Context, m *snapshot.Manifest) (snapshot.Beside, error) {
	name := d.named("__restore")
	db, err := d.sibling(name)
	if err != nil {
		return nil, err
	}
	b := neighbour{db.site(), d}
	b.keep = true
	if err := d.ready(ctx, b.site, m); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return b, nil
}

func (d *Database) ready(ctx context.Context, s *site, m *snapshot.Manifest) error {
	var n int
	if err := d.db.QueryRowContext(ctx, "SELECT count(*) FROM information_schema.schemata WHERE schema_name = ?", s.db.name).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		noted, err := s.noted(ctx)
		if err != nil || noted["snapshot"] == m.ID {
			return err
		}
		if err := s.ownOrEmpty(ctx, noted); err != nil {
			return err
		}
		if err := ddlOn(ctx, d.db, "DROP DATABASE "+quote(s.db.name)); err != nil {
			return fmt.Errorf("drop what an earlier restore has left: %w", err)
		}
	}
	return d.createDatabase(ctx, s.db.name)
}

// ownOrEmpty refuses a database that no restore has made.
func (s *site) ownOrEmpty(ctx context.Context, noted map[string]string) error {
	if noted != nil {
		return nil
	}
	var n int
	if err := s.db.db.QueryRowContext(ctx, "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE()").Scan(&n); err != nil || n == 0 {
		return err
	}
	return fmt.Errorf("there is a database %s that no restore has made\n  next: rename or drop it: what is restored is built under that name", s.db.name)
}

// createDatabase makes a database with the character set and collation of this one.
func (d *Database) createDatabase(ctx context.Context, name string) error {
	var set, collation string
	if err := d.db.QueryRowContext(ctx, "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = DATABASE()").Scan(&set, &collation); err != nil {
		return err
	}
	if err := ddlOn(ctx, d.db, fmt.Sprintf("CREATE DATABASE %s CHARACTER SET %s COLLATE %s", quote(name), set, collation)); err != nil {
		if denied(err) {
			user, _, _ := strings.Cut(d.config.User, "@")
			return fmt.Errorf("%w\n  next: GRANT ALL ON `%s\\_\\_%%`.* TO '%s'", err, strings.NewReplacer("_", `\_`, "%", `\%`).Replace(d.name), user)
		}
		return err
	}
	return nil
}

// Close implements snapshot.Beside.
func (b neighbour) Close(keep bool) error {
	var err error
	if !keep {
		err = ddlOn(context.Background(), b.live.db, "DROP DATABASE IF EXISTS "+quote(b.db.name))
	}
	return errors.Join(err, b.db.Close())
}

// Swap implements snapshot.Live; see exchange.
func (d *Database) Swap(ctx context.Context, session *migrate.Session, built snapshot.Beside, displaced string, amend snapshot.Amend) error {
	b, ok := built.(neighbour)
	if !ok {
		return fmt.Errorf("%T was not built beside a database of %s", built, d.engine)
	}
	return d.exchange(ctx, session, b.db, displaced, b.model, amend)
}

// Return implements snapshot.Live. The displaced database has its model with it.
func (d *Database) Return(ctx context.Context, session *migrate.Session, displaced, kept string, amend snapshot.Amend) (err error) {
	old, err := d.sibling(displaced)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	noted, err := readNotes(ctx, old.db, displacedNotes)
	if isError(err, 1049, 1146) || err == nil && noted["of"] != d.name {
		return fmt.Errorf("there is no database %s that a restore of %s has displaced", displaced, d.name)
	}
	if err != nil {
		return err
	}
	model, err := readModel(noted["model"])
	if err != nil {
		return err
	}
	return d.exchange(ctx, session, old, kept, model, amend)
}

func readModel(text string) (*schema.Database, error) {
	model, err := schema.Load(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read the schema that was noted: %w", err)
	}
	return model, nil
}
