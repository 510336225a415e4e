package mysql

import (
	"context"
	"database/sql"
	"encoding/binary"
	"net"
	"time"

	"github.com/go-sql-driver/mysql"
)

// wire is the connection below the driver's. While rows are read, the driver gets no more of it than it needs for the packet
// that it waits for, so that rows can be taken from behind it as they come: the driver makes a value of each, from reads
// of 4 KiB, which takes longer than all else that becomes of a row.
type wire struct {
	net.Conn
	timeout time.Duration // of a read; 0 for none

	greeted bool // the client has said what it can do
	plain   bool // packets go over the connection as they are: not encrypted, not compressed

	framed bool // the driver gets packets
	left   int  // bytes of the packet that the driver is reading

	buf  []byte // what was read is buf[from:to]
	from int
	to   int
	long []byte // a packet that came in several
}

// wireBuffer is how much is read at once.
const wireBuffer = 256 << 10

// What a client says that it can do, in the first packet that it writes.
const (
	canCompress = 1 << 5
	canEncrypt  = 1 << 11
)

// largestPacket is the length of a packet that the next one goes on with.
const largestPacket = 1<<24 - 1

// What the first byte of a packet says.
const (
	nullValue  = 0xfb // the first value of a row is NULL
	endOfRows  = 0xfe // in a packet of less than the largest: there are no more rows
	errorOfRow = 0xff
)

// dialReader opens a pool of one connection to read rows by, and hands out what is below its driver once it is connected.
func (d *Database) dialReader() (*sql.DB, func() *wire, error) {
	config := d.config.Clone()
	config.ParseTime = false
	var w *wire
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		var dialer net.Dialer
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		w = &wire{Conn: c, timeout: config.ReadTimeout}
		return w, nil
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, nil, err
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(1)
	return pool, func() *wire { return w }, nil
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	if !w.greeted && len(p) >= 8 {
		w.greeted, w.plain = true, binary.LittleEndian.Uint32(p[4:])&(canCompress|canEncrypt) == 0
	}
	return w.Conn.Write(p)
}

// Read implements net.Conn for the driver, which sets a deadline itself.
func (w *wire) Read(p []byte) (int, error) {
	if !w.framed {
		return w.Conn.Read(p)
	}
	if w.left == 0 {
		if err := w.need(4); err != nil {
			return 0, err
		}
		w.left = 4 + w.length()
	}
	if err := w.need(1); err != nil {
		return 0, err
	}
	n := copy(p[:min(len(p), w.left)], w.buf[w.from:w.to])
	w.from, w.left = w.from+n, w.left-n
	return n, nil
}

// frame begins to give the driver packet by packet, or ends that. It is called between commands, when nothing is on its way.
func (w *wire) frame(on bool) {
	w.framed = on
	if on && w.buf == nil {
		w.buf = make([]byte, wireBuffer)
	}
}

// length is that of the packet whose header comes next.
func (w *wire) length() int {
	h := w.buf[w.from:]
	return int(h[0]) | int(h[1])<<8 | int(h[2])<<16
}

// need reads until that many bytes are there.
func (w *wire) need(n int) error {
	if w.to-w.from >= n {
		return nil
	}
	into := w.buf
	if len(into) < n {
		into = make([]byte, n+wireBuffer)
	}
	w.to = copy(into, w.buf[w.from:w.to])
	w.buf, w.from = into, 0
	for w.to < n {
		if w.timeout > 0 {
			if err := w.SetReadDeadline(time.Now().Add(w.timeout)); err != nil {
				return err
			}
		}
		read, err := w.Conn.Read(w.buf[w.to:])
		w.to += read
		if err != nil && w.to < n {
			return err
		}
	}
	return nil
}

// rows hands out the rows of a result, the columns of which the driver has read. What comes behind them is left to the
// driver, with the number that it expects.
func (w *wire) rows(each func(row []byte) error) error {
	if err := w.need(4); err != nil {
		return err
	}
	expected := w.buf[w.from+3]
	for {
		row, err := w.row()
		if err != nil {
			return err
		}
		if row == nil {
			w.buf[w.from+3] = expected
			return nil
		}
		if err := each(row); err != nil {
			return err
		}
	}
}

// row takes the next packet, if it is a row, and otherwise returns nil.
func (w *wire) row() ([]byte, error) {
	if err := w.need(5); err != nil {
		return nil, err
	}
	n := w.length()
	if first := w.buf[w.from+4]; first == errorOfRow || first == endOfRows && n < largestPacket {
		return nil, nil
	}
	if err := w.need(4 + n); err != nil {
		return nil, err
	}
	row := w.buf[w.from+4 : w.from+4+n]
	w.from += 4 + n
	if n < largestPacket {
		return row, nil
	}
	w.long = append(w.long[:0], row...)
	for n == largestPacket {
		if err := w.need(4); err != nil {
			return nil, err
		}
		n = w.length()
		if err := w.need(4 + n); err != nil {
			return nil, err
		}
		w.long = append(w.long, w.buf[w.from+4:w.from+4+n]...)
		w.from += 4 + n
	}
	return w.long, nil
}
