package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// linger is how long a client may go on sending a body that nobody wants any more.
const linger = 500 * time.Millisecond

// upload passes a long body on to the backend while the answer may already be coming. The exchange
// that started it ends it.
type upload struct {
	x    *exchange
	conn *backendConn
	done chan struct{}

	mu         sync.Mutex
	hasAnswer  bool  // the header of the answer is there: its deadline is over
	clientErr  error // the client's side failed
	backendErr error // the backend took no more, which an early answer explains
}

func (x *exchange) startUpload(ctx context.Context, conn *backendConn) *upload {
	// Without this the server would swallow the rest of the body before it lets an early answer out.
	_ = http.NewResponseController(x.w).EnableFullDuplex()
	conn.limit(ctx, conn.SetDeadline, time.Time{}) // a slow upload is no error
	u := &upload{x: x, conn: conn, done: make(chan struct{})}
	go u.run(ctx)
	return u
}

func (u *upload) run(ctx context.Context) {
	defer close(u.done)
	clientErr, backendErr := u.copy()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.clientErr, u.backendErr = clientErr, backendErr
	switch {
	case clientErr != nil:
		u.conn.interrupt() // the backend must not take the half for the whole
	case !u.hasAnswer:
		u.conn.limit(ctx, u.conn.SetReadDeadline, time.Now().Add(u.x.answer))
	}
}

// copy sends the body, in chunks when its length is unknown.
func (u *upload) copy() (clientErr, backendErr error) {
	buf := u.x.buffers.get()
	defer u.x.buffers.put(buf)
	chunked := u.x.r.ContentLength < 0
	w := u.conn.bw
	for {
		n, err := u.x.r.Body.Read(*buf)
		if n > 0 {
			if chunked {
				writeAll(w, strconv.FormatInt(int64(n), 16), "\r\n")
			}
			_, _ = w.Write((*buf)[:n])
			if chunked {
				writeAll(w, "\r\n")
			}
			if err := w.Flush(); err != nil {
				_, discarded := io.CopyBuffer(io.Discard, struct{ io.Reader }{u.x.r.Body}, *buf)
				_ = discarded // the client is told by the answer, not by us
				return nil, err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err, nil
		}
	}
	if !chunked {
		return nil, nil
	}
	writeAll(w, "0\r\n")
	for name, values := range u.x.r.Trailer {
		for _, value := range values {
			writeAll(w, name, ": ", value, "\r\n")
		}
	}
	writeAll(w, "\r\n")
	return nil, w.Flush()
}

// clientFailed tells whether the upload failed on the client's side.
func (u *upload) clientFailed() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.clientErr != nil
}

// answered notes that the header of the answer is there: how long the rest takes is not limited.
func (u *upload) answered(ctx context.Context) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.hasAnswer = true
	if u.clientErr == nil { // otherwise the connection was interrupted and stays so
		u.conn.limit(ctx, u.conn.SetDeadline, time.Time{})
	}
}

// finished tells whether the whole body has gone out.
func (u *upload) finished() bool {
	select {
	case <-u.done:
		return u.clientErr == nil && u.backendErr == nil
	default:
		return false
	}
}

// end waits for the upload, and makes it stop if it is still going: the answer is complete or there
// will be none, and the request's body may not be touched once the handler has returned. The client
// is given a moment to notice, for closing on one that still sends can cost it the answer.
func (u *upload) end() {
	if u.finished() {
		return
	}
	control := http.NewResponseController(u.x.w)
	if u.hasAnswer {
		_ = control.Flush()
	} else {
		u.x.w.Header().Set("Connection", "close")
	}
	u.conn.interrupt()
	_ = control.SetReadDeadline(time.Now().Add(linger))
	<-u.done
}

// pipe copies one direction of a tunnel: first what was read ahead, then all that comes. The end of
// it is passed on as an end of writing; an error ends both directions.
func pipe(to, from net.Conn, ahead *bufio.Reader) {
	var err error
	if n := ahead.Buffered(); n > 0 {
		_, err = io.CopyN(to, ahead, int64(n))
	}
	if err == nil {
		_, err = io.Copy(to, from)
	}
	half, ok := to.(interface{ CloseWrite() error })
	if err == nil && ok && half.CloseWrite() == nil {
		return
	}
	_ = to.Close()
	_ = from.Close()
}
