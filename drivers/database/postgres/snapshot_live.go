package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	ddlpostgres "github.com/switchbackdb/switchback/ddl/postgres"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/snapshot"
)

var _ snapshot.Live = (*Database)(nil)

// Identity implements snapshot.Live. A database is known by the number that its server was made with and by its
// name, not by its oid: after a restore another one has the name, and its snapshots may go back there.
func (d *Database) Identity(ctx context.Context) (name, identity string, err error) {
	name = fmt.Sprintf("postgres://%s:%d/%s", d.config.Host, d.config.Port, d.config.Database)
	rows, err := query(ctx, d.db, "SELECT current_database(), CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE') THEN (SELECT system_identifier::text FROM pg_control_system()) END")
	if err != nil {
		return "", "", fmt.Errorf("ask the server who it is: %w", err)
	}
	server := rows[0][1]
	if server == "" {
		server = fmt.Sprintf("%s:%d", d.config.Host, d.config.Port)
	}
	return name, "postgres:" + server + "/" + rows[0][0], nil
}

// nameLength is how long a name may be, in bytes.
const nameLength = 63

// beside makes the name of a database that belongs to another one. What is cut from a long name is told apart
// by its hash.
func beside(name, suffix string) string {
	if len(name)+len(suffix) <= nameLength {
		return name + suffix
	}
	sum := sha256.Sum256([]byte(name))
	tail := "_" + hex.EncodeToString(sum[:4]) + suffix
	return clip(name, nameLength-len(tail)) + tail
}

// restored is the name under which a snapshot is built.
func (d *Database) restored() string { return beside(d.config.Database, "__restore") }

// Displaced implements snapshot.Live.
func (d *Database) Displaced(now time.Time) string {
	return beside(d.config.Database, "__old_"+strings.Replace(now.UTC().Format("20060102150405.000"), ".", "", 1))
}

// The comments on databases that are beside a live one. They tell a later run what it is that it finds; a
// swap sets them in the same transaction in which it does what they say.
const (
	buildingMark  = "switchback: snapshot %s is being restored here, beside %s"
	swappingMark  = "switchback: about to take the place of %s; before, " // and what it was
	displacedMark = "switchback: displaced from the name %s; closed, drop it when it is of no use any more"
)

// neighbour opens another database of the same server, as the same role.
func (d *Database) neighbour(ctx context.Context, name string) (*Database, error) {
	c := d.config.Copy()
	c.Database = name
	return open(ctx, c)
}

// maintenance opens a database from which others can be renamed. All runs have to take the same one, since a
// lock in it tells them of each other.
func maintenance(ctx context.Context, config *pgx.ConnConfig) (*Database, error) {
	var all error
	for _, name := range []string{"postgres", "template1"} {
		if name == config.Database {
			continue
		}
		c := config.Copy()
		c.Database = name
		d, err := open(ctx, c)
		if err == nil {
			return d, nil
		}
		all = errors.Join(all, err)
	}
	return nil, fmt.Errorf("databases are renamed from another one: %w\n  next: let this role connect to the database postgres", all)
}

// built is a database in which a snapshot is built, beside the live one.
type built struct {
	*site
	live *Database
	name string
}

// Beside implements snapshot.Live: the database has the encoding, the locale and the owner of the live one.
func (d *Database) Beside(ctx context.Context, m *snapshot.Manifest) (snapshot.Beside, error) {
	if _, err := d.db.ExecContext(ctx, "DROP SCHEMA IF EXISTS "+restoreSchema+" CASCADE"); err != nil {
		return nil, fmt.Errorf("tidy up after a restore that was killed at its very end: %w", err)
	}
	name := d.restored()
	fresh, err := d.clear(ctx, name, m.ID)
	if err != nil {
		return nil, err
	}
	if !fresh {
		b, err := d.goOn(ctx, name, m.ID)
		if b != nil || err != nil {
			return b, err
		}
		if err := d.drop(ctx, name); err != nil {
			return nil, err
		}
	}
	if err := d.createBeside(ctx, name, m.ID); err != nil {
		return nil, err
	}
	failpoint.Hit("restore: database created")
	other, err := d.neighbour(ctx, name)
	if err != nil {
		return nil, err
	}
	return d.newBuilt(other, name), nil
}

func (d *Database) newBuilt(other *Database, name string) *built {
	s := newSite(other)
	s.stays = true
	return &built{site: s, live: d, name: name}
}

// goOn opens the database of a build that was cut off, or returns nil when it had not come far enough.
func (d *Database) goOn(ctx context.Context, name, id string) (*built, error) {
	other, err := d.neighbour(ctx, name)
	if err != nil {
		return nil, err
	}
	b := d.newBuilt(other, name)
	of, err := b.buildingOf(ctx)
	if err != nil || of != id {
		b.shut()
		return nil, err
	}
	return b, nil
}

// clear makes room for the database to be built: what is there of another snapshot goes. fresh is false when
// there is one of this snapshot.
func (d *Database) clear(ctx context.Context, name, id string) (fresh bool, err error) {
	mark, there, err := markOf(ctx, d.db, name)
	switch {
	case err != nil || !there:
		return true, err
	case mark == fmt.Sprintf(buildingMark, id, d.config.Database):
		return false, nil
	case strings.HasPrefix(mark, "switchback: snapshot "):
		return true, d.drop(ctx, name)
	}
	// A restore that was killed between making the database and marking it has left an empty one.
	if vacant, err := d.vacant(ctx, name); err != nil || vacant {
		return true, errors.Join(err, d.drop(ctx, name))
	}
	return false, fmt.Errorf("there is a database %s that was not made by a restore\n  next: give it another name", name)
}

// vacant tells whether there is nothing in a database, and nobody.
func (d *Database) vacant(ctx context.Context, name string) (bool, error) {
	rows, err := query(ctx, d.db, "SELECT 1 FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'", name)
	if err != nil || len(rows) > 0 {
		return false, err
	}
	other, err := d.neighbour(ctx, name)
	if err != nil {
		return false, err
	}
	is, err := other.Inspect(ctx)
	if err = errors.Join(err, other.Close()); err != nil {
		return false, err
	}
	return firstObject(is) == "", nil
}

// markOf is the comment on a database.
func markOf(ctx context.Context, db *sql.DB, name string) (mark string, there bool, err error) {
	rows, err := query(ctx, db, "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", name)
	if err != nil || len(rows) == 0 {
		return "", false, err
	}
	return rows[0][0], true, nil
}

func (d *Database) drop(ctx context.Context, name string) error {
	if _, err := d.db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+ddlpostgres.Identifier(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

// Obstacles implements snapshot.Obstructed.
func (d *Database) Obstacles(ctx context.Context) error {
	rows, err := query(ctx, d.db, `SELECT 'replication slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
UNION ALL SELECT 'subscription ' || subname FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
UNION ALL SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY 1`)
	if err != nil {
		return fmt.Errorf("ask what belongs to the database: %w", err)
	}
	if len(rows) > 0 {
		return fmt.Errorf("the database has what would stay with the displaced one: %s\n  next: end these, then run the same command again; or restore with --into URL", strings.Join(slices.Concat(rows...), ", "))
	}
	rows, err = query(ctx, d.db, `SELECT CASE WHEN r.rolsuper OR r.rolcreatedb AND pg_has_role(d.datdba, 'USAGE') THEN '' ELSE concat_ws(' and ', CASE WHEN NOT r.rolcreatedb THEN 'ALTER ROLE ' || quote_ident(r.rolname) || ' CREATEDB' END,
  CASE WHEN NOT pg_has_role(d.datdba, 'USAGE') THEN 'GRANT ' || quote_ident(pg_get_userbyid(d.datdba)) || ' TO ' || quote_ident(r.rolname) END) END
FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()`)
	if err == nil && rows[0][0] != "" {
		err = fmt.Errorf("this role may not make a database and rename it\n  next: as an administrator: %s; or restore with --into URL", rows[0][0])
	}
	return err
}

// createBeside makes an empty database like the live one, and marks it.
func (d *Database) createBeside(ctx context.Context, name, id string) error {
	locale, rules := "daticulocale", "NULL"
	if major := majorOf(d.version); major > "15" {
		rules = "daticurules"
		if major > "16" {
			locale = "datlocale"
		}
	}
	rows, err := query(ctx, d.db, `SELECT pg_encoding_to_char(encoding), datcollate, datctype, CASE datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END, `+locale+`, `+rules+`, pg_get_userbyid(datdba), spcname
FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE datname = current_database()`)
	if err != nil {
		return fmt.Errorf("ask how the database was made: %w", err)
	}
	r, text := rows[0], ddlpostgres.Literal
	statement := "CREATE DATABASE " + ddlpostgres.Identifier(name) + " TEMPLATE template0 OWNER " + ddlpostgres.Identifier(r[6]) + " TABLESPACE " + ddlpostgres.Identifier(r[7]) +
		" ENCODING " + text(r[0]) + " LC_COLLATE " + text(r[1]) + " LC_CTYPE " + text(r[2]) + " LOCALE_PROVIDER " + r[3]
	if r[4] != "" {
		statement += map[string]string{"icu": " ICU_LOCALE ", "builtin": " BUILTIN_LOCALE "}[r[3]] + text(r[4])
	}
	if r[5] != "" {
		statement += " ICU_RULES " + text(r[5])
	}
	if _, err := d.db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	// Killed here, it has no mark, and a later run would leave it alone: the name says enough to a person.
	_, err = d.db.ExecContext(ctx, "COMMENT ON DATABASE "+ddlpostgres.Identifier(name)+" IS "+text(fmt.Sprintf(buildingMark, id, d.config.Database)))
	return err
}

// shut closes the connections to the database.
func (b *built) shut() {
	b.release()
	_ = b.pool.Close()
	_ = b.d.Close()
}

// Close implements snapshot.Beside.
func (b *built) Close(keep bool) error {
	b.shut()
	if keep {
		return nil
	}
	mark, there, err := markOf(context.Background(), b.live.db, b.name)
	if err != nil || !there || !strings.HasPrefix(mark, "switchback: ") {
		return err
	}
	return b.live.drop(context.Background(), b.name)
}
