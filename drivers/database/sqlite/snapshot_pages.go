package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/switchbackdb/switchback/internal/failpoint"
)

// byPages returns what writes the copy into the live database page by page, by SQLite's own table of pages, in one
// transaction: those only that are not there yet. The displaced database is copied before, while it is used; if somebody has
// written since, its pages are looked through again when writers are out, and no others are written. So how long writers
// are kept out grows with what differs, and, if they write meanwhile, with the time of reading all pages once.
// Readers are kept out while it is committed, and not at all with a write-ahead log.
func (r restoration) byPages(ctx context.Context) (func(context.Context) error, error) {
	conn, err := r.database.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	s := &swapping{restoration: r, conn: conn, began: -1}
	if err := s.settings(ctx); err != nil {
		s.discard()
		return nil, err
	}
	if err := s.keep(ctx); err != nil {
		s.discard()
		return nil, errors.Join(fmt.Errorf("keep the displaced database as %s: %w", r.displaced, err), remove(r.displaced))
	}
	return s.swap, nil
}

// discard closes the connection for good: its cache does not know that pages have become others.
func (s *swapping) discard() { _ = s.conn.Raw(func(any) error { return driver.ErrBadConn }) }

func (s *swapping) swap(ctx context.Context) error {
	defer s.discard()
	if err := s.exchange(ctx); err != nil {
		_, rerr := s.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		if !s.writing {
			return errors.Join(fmt.Errorf("lock %s: %w", s.database.path, err), remove(s.displaced))
		}
		if rerr == nil { // otherwise it may have been committed
			rerr = remove(s.displaced)
		}
		return errors.Join(fmt.Errorf("write the snapshot into %s: %w", s.database.path, err), rerr)
	}
	failpoint.Hit("restore: after")
	return nil
}

// swapping is a restoration by pages.
type swapping struct {
	restoration
	conn     *sql.Conn
	began    int64 // the version of the live database that was kept; -1 when that was not known
	pageSize int64
	differ   []int64 // the numbers of the copy's pages that the live database does not have, but for the first
	writing  bool
}

// manyPages is how many bytes of changed pages are held in memory instead of being written before the end.
const manyPages = 64 << 20

func (s *swapping) settings(ctx context.Context) error {
	if _, err := s.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", busyWait.Milliseconds())); err != nil {
		return err
	}
	if _, err := s.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA cache_size = -%d", manyPages>>10)); err != nil {
		return err
	}
	return s.conn.QueryRowContext(ctx, "PRAGMA page_size").Scan(&s.pageSize)
}

// version changes when another connection has written.
func (s *swapping) version(ctx context.Context) (v int64, err error) {
	err = s.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&v)
	return v, err
}

// keep copies the live database while it is used, and makes the copy that is to take its place ready.
func (s *swapping) keep(ctx context.Context) error {
	began, err := s.version(ctx)
	if err != nil {
		return err
	}
	if err := backup(ctx, s.conn, s.displaced, nil); err != nil {
		return err
	}
	if err := single(ctx, s.displaced); err != nil {
		return err
	}
	if now, err := s.version(ctx); err != nil || now != began {
		return err // what is to take its place is made ready of what there is then
	}
	s.began = began
	return s.ready(ctx)
}

// ready carries our own tables over, and finds out which pages differ.
func (s *swapping) ready(ctx context.Context) error {
	if err := carryOver(ctx, s.file, s.displaced, s.amend); err != nil {
		return err
	}
	is, err := os.Open(s.file)
	if err != nil {
		return err
	}
	defer is.Close()
	was, err := os.Open(s.displaced)
	if err != nil {
		return err
	}
	defer was.Close()
	s.differ, err = otherPages(is, was, s.pageSize)
	return err
}

// otherPages are the numbers of the pages of a file that another does not have at their places, but for the first one, which
// counts changes.
func otherPages(is, was io.Reader, size int64) ([]int64, error) {
	const block = 256 // pages
	a, b := make([]byte, block*size), make([]byte, block*size)
	var list []int64
	for first := int64(1); ; first += block {
		n, err := fill(is, a)
		if err != nil {
			return nil, err
		}
		m, err := fill(was, b)
		if err != nil {
			return nil, err
		}
		for at := int64(0); at+size <= n; at += size {
			page := first + at/size
			if page > 1 && page != lockPage(size) && (at+size > m || !bytes.Equal(a[at:at+size], b[at:at+size])) {
				list = append(list, page)
			}
		}
		if n < int64(len(a)) {
			return list, nil
		}
	}
}

// fill reads as much as there is room for, and less at the end.
func fill(from io.Reader, into []byte) (int64, error) {
	n, err := io.ReadFull(from, into)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return int64(n), err
}

// lockPage is the page at 1 GiB, which SQLite locks bytes of and never uses.
func lockPage(size int64) int64 { return 1<<30/size + 1 }

// exchange keeps writers out and writes the pages.
func (s *swapping) exchange(ctx context.Context) error {
	begin := "BEGIN IMMEDIATE"
	if s.began < 0 || int64(len(s.differ))*s.pageSize > manyPages/2 {
		begin = "BEGIN EXCLUSIVE" // pages will be written before the end, for which no reader may be there
	}
	if _, err := s.conn.ExecContext(ctx, begin); err != nil {
		return err
	}
	now, err := s.version(ctx)
	if err != nil {
		return err
	}
	if now != s.began {
		if err := s.refresh(ctx); err != nil {
			return err
		}
		if err := s.ready(ctx); err != nil {
			return err
		}
	}
	failpoint.Hit("restore: displaced kept")
	s.writing = true
	if err := s.write(ctx); err != nil {
		return err
	}
	failpoint.Hit("restore: pages written")
	_, err = s.conn.ExecContext(ctx, "COMMIT")
	return err
}

// refresh brings the displaced file to what the live database is now.
func (s *swapping) refresh(ctx context.Context) (err error) {
	f, err := os.OpenFile(s.displaced, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	rows, err := s.conn.QueryContext(ctx, "SELECT pgno, data FROM sqlite_dbpage")
	if err != nil {
		return err
	}
	defer rows.Close()
	var pages int64
	var data sql.RawBytes
	was := make([]byte, s.pageSize)
	for rows.Next() {
		if err := rows.Scan(&pages, &data); err != nil {
			return err
		}
		if pages == lockPage(s.pageSize) {
			continue
		}
		if pages == 1 {
			data = bytes.Clone(data)
			data[readFormat], data[writeFormat] = 1, 1 // the file has no write-ahead log
		}
		at := (pages - 1) * s.pageSize
		if n, err := f.ReadAt(was, at); err != nil && !errors.Is(err, io.EOF) {
			return err
		} else if n == len(was) && bytes.Equal(was, data) {
			continue
		}
		if _, err := f.WriteAt(data, at); err != nil {
			return err
		}
	}
	return errors.Join(rows.Err(), f.Truncate(pages*s.pageSize), f.Sync())
}

// Where the header of a database has what.
const (
	writeFormat  = 18 // 2 with a write-ahead log
	readFormat   = 19
	schemaCookie = 40 // tells connections that the schema has changed
)

// write puts the pages that differ in their places. The first one comes last, in the statement that cuts off the pages which
// the copy does not have: every statement after it would read the schema anew, with what the connection still holds of the old one.
func (s *swapping) write(ctx context.Context) error {
	failpoint.Hit("restore: before")
	var head []byte
	var live int64
	if err := s.conn.QueryRowContext(ctx, "SELECT data, (SELECT page_count FROM pragma_page_count) FROM sqlite_dbpage WHERE pgno = 1").Scan(&head, &live); err != nil {
		return err
	}
	f, err := os.Open(s.file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	pages := info.Size() / s.pageSize
	if err := s.put(ctx, f, pages, live); err != nil {
		return err
	}
	first := make([]byte, s.pageSize)
	if _, err := f.ReadAt(first, 0); err != nil {
		return err
	}
	first[writeFormat], first[readFormat] = head[writeFormat], head[readFormat]
	binary.BigEndian.PutUint32(first[schemaCookie:], binary.BigEndian.Uint32(head[schemaCookie:])+1)
	if pages < live {
		_, err = s.conn.ExecContext(ctx, putPage+", (?, NULL)", 1, first, pages+1)
	} else {
		_, err = s.conn.ExecContext(ctx, putPage, 1, first)
	}
	return err
}

// putPage writes a page.
const putPage = "INSERT INTO sqlite_dbpage (pgno, data) VALUES (?, ?)"

// put writes the pages that differ, but for the first, and to those that will be cut off: one that was not written to would not be
// in the rollback journal, and lost to whoever comes after a crash.
func (s *swapping) put(ctx context.Context, from io.ReaderAt, pages, live int64) (err error) {
	put, err := s.conn.PrepareContext(ctx, putPage)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, put.Close()) }()
	page := make([]byte, s.pageSize)
	for _, n := range s.differ {
		if _, err := from.ReadAt(page, (n-1)*s.pageSize); err != nil {
			return err
		}
		if _, err := put.ExecContext(ctx, n, page); err != nil {
			return err
		}
	}
	clear(page)
	for n := pages + 1; n <= live; n++ {
		if n == lockPage(s.pageSize) {
			continue
		}
		if _, err := put.ExecContext(ctx, n, page); err != nil {
			return err
		}
	}
	return nil
}

// remove removes a file that may not be there.
func remove(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// fits tells whether the pages of the copy are as large as those of the live database.
func (r restoration) fits(ctx context.Context) (bool, error) {
	var size int64
	if err := r.conn.QueryRowContext(ctx, "PRAGMA page_size").Scan(&size); err != nil {
		return false, err
	}
	f, err := os.Open(r.file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var head [18]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return false, err
	}
	of := int64(binary.BigEndian.Uint16(head[16:]))
	return of == size || of == 1 && size == 65536, nil
}
