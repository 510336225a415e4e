package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// max1xx is how many provisional answers a backend may send before the real one.
const max1xx = 8

// exchange is one request on its way: it holds what several attempts share.
type exchange struct {
	*forwarder
	w http.ResponseWriter
	r *http.Request

	backend *backend // of the present attempt

	buf  *[]byte // holds a short body, nil for none or a long one
	body []byte  // the short body
}

// buffer reads a body that is short and of known length, before a backend is chosen. It then goes
// out in one piece with the header, and a client that gives up half way troubles no backend.
func (x *exchange) buffer() error {
	n := x.r.ContentLength
	if n <= 0 || n > copyBufferBytes {
		return nil
	}
	x.buf = x.buffers.get()
	x.body = (*x.buf)[:n]
	if _, err := io.ReadFull(x.r.Body, x.body); err != nil {
		x.release()
		return err
	}
	return nil
}

func (x *exchange) release() {
	if x.buf != nil {
		x.buffers.put(x.buf)
		x.buf = nil
	}
}

// streams tells whether the body is passed on while it arrives.
func (x *exchange) streams() bool { return x.r.ContentLength != 0 && x.buf == nil }

// visit takes the request, which was counted at b, to b and takes it off the count again. When it
// fails, again tells whether another backend may be asked.
func (x *exchange) visit(ctx context.Context, b *backend) (again bool, err error) {
	defer b.inFlight.Add(-1)
	b.requests.Add(1)
	x.backend = b
	fresh := false
	for {
		conn, err := b.pool.get(ctx, fresh, !repeatable(x.r))
		if err != nil {
			if err = x.cause(err); !errors.Is(err, errClientGone) {
				b.connectFailures.Add(1)
			}
			return mayRepeat(x.r, false, err), err
		}
		sent, err := x.attempt(ctx, conn)
		if err == nil {
			return false, nil
		}
		again := mayRepeat(x.r, sent, err)
		if !again || !conn.reused {
			if !errors.Is(err, errClientGone) {
				b.serverErrors.Add(1)
			}
			return again, err
		}
		// The backend may have closed a connection it had not used for a while; that says nothing
		// about a new one.
		fresh = true
	}
}

// attempt sends the request on conn and the answer to the client. An error means that the client was
// sent nothing; sent tells whether the backend may have received any of the request. Once the answer
// has begun there is no way back: a failure then aborts the client's connection.
func (x *exchange) attempt(ctx context.Context, conn *backendConn) (sent bool, err error) {
	start := time.Now()
	stop := context.AfterFunc(ctx, conn.interrupt)
	reusable := false
	defer func() {
		if stop() && reusable {
			conn.pool.put(conn)
			return
		}
		_ = conn.Close()
	}()

	upgrade := ""
	if x.r.ContentLength == 0 && x.r.ProtoMajor == 1 {
		upgrade = upgradeOf(x.r.Header)
	}
	conn.limit(ctx, conn.SetDeadline, start.Add(x.answer))
	conn.expectHeader()
	writeHead(conn.bw, x.r, upgrade, x.trust)
	_, _ = conn.bw.Write(x.body)
	if err := conn.bw.Flush(); err != nil {
		return conn.sent > 0, x.cause(err)
	}
	var up *upload
	if x.streams() {
		up = x.startUpload(ctx, conn)
		defer up.end()
	}
	resp, err := x.readHead(conn) //nolint:bodyclose // closing it would read it to the end; conn is closed instead, or kept
	if up != nil && up.clientFailed() {
		return true, errClientGone
	}
	if err != nil {
		return true, x.cause(err)
	}
	x.backend.answered(start, resp.StatusCode)
	conn.expectBody()
	if up == nil {
		conn.limit(ctx, conn.SetDeadline, time.Time{})
	} else {
		up.answered(ctx)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return true, x.tunnel(ctx, conn, resp, upgrade)
	}
	if up != nil && !up.finished() {
		// What is left of the body cannot be told from a next request any more.
		x.w.Header().Set("Connection", "close")
	}
	if err := x.sendAnswer(conn, resp); err != nil {
		if errors.Is(err, errBackendBody) {
			x.backend.serverErrors.Add(1)
		}
		x.log.Debug("answer cut short", "address", x.backend.address, "error", err)
		panic(http.ErrAbortHandler)
	}
	reusable = !resp.Close && conn.br.Buffered() == 0 && (up == nil || up.finished())
	return true, nil
}

// cause tells whose failure err was. It must be asked at once: ending an upload ends the request's
// context as well.
func (x *exchange) cause(err error) error {
	if x.r.Context().Err() != nil {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	return err
}

// readHead reads the header of the answer; provisional answers before it are passed on.
func (x *exchange) readHead(conn *backendConn) (*http.Response, error) {
	for range max1xx {
		resp, err := http.ReadResponse(conn.br, x.r)
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("the connection ended before the answer: %w", err)
			}
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
		if resp.StatusCode != http.StatusContinue && x.r.ProtoAtLeast(1, 1) {
			x.sendProvisional(resp)
		}
	}
	return nil, errors.New("too many provisional answers")
}

// stickyCookie returns the mark of the backend the client was given before, if it sticks.
func (x *exchange) stickyCookie() string {
	if x.sticky == "" {
		return ""
	}
	cookie, err := x.r.Cookie(x.sticky)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// setSticky tells the client which backend it was given, unless it knows.
func (x *exchange) setSticky(h http.Header) {
	if x.sticky == "" {
		return
	}
	mark := x.table.Load().markOf(x.backend)
	if mark == "" || mark == x.stickyCookie() {
		return
	}
	cookie := http.Cookie{Name: x.sticky, Value: mark, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	h.Add("Set-Cookie", cookie.String())
}

func (x *exchange) sendProvisional(resp *http.Response) {
	h := x.w.Header()
	for name, values := range resp.Header {
		if !hopByHop(name) {
			h[name] = values
		}
	}
	x.w.WriteHeader(resp.StatusCode)
	clear(h)
}

// errBackendBody marks the failure to read an answer's body from the backend.
var errBackendBody = errors.New("read answer")

// sendAnswer passes the answer on to its end. An error means it could not be.
func (x *exchange) sendAnswer(conn *backendConn, resp *http.Response) error {
	h := x.w.Header()
	copyHeader(h, resp.Header)
	x.setSticky(h)
	announced := len(resp.Trailer)
	for name := range resp.Trailer {
		h.Add("Trailer", name)
	}
	x.w.WriteHeader(resp.StatusCode)
	if resp.ContentLength != 0 {
		if err := x.copyBody(conn, resp); err != nil {
			return err
		}
	}
	prefix := ""
	if len(resp.Trailer) != announced {
		prefix = http.TrailerPrefix // some came unannounced
	}
	for name, values := range resp.Trailer {
		for _, value := range values {
			h.Add(prefix+name, value)
		}
	}
	return nil
}

// copyBody copies the answer's body. One whose length nobody knows may be a conversation, events for
// instance: each piece goes on at once.
func (x *exchange) copyBody(conn *backendConn, resp *http.Response) error {
	buf := x.buffers.get()
	defer x.buffers.put(buf)
	flush := resp.ContentLength < 0 || strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
	flusher := http.NewResponseController(x.w)
	for {
		// While more of it lies ready there is no need to hurry.
		if flush && conn.br.Buffered() == 0 {
			if err := flusher.Flush(); err != nil {
				return err
			}
		}
		n, err := resp.Body.Read(*buf)
		if n > 0 {
			if _, err := x.w.Write((*buf)[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errBackendBody, err)
		}
	}
}

// tunnel joins client and backend after both agreed to switch protocols, until both are done or the
// server is told to cut.
func (x *exchange) tunnel(ctx context.Context, conn *backendConn, resp *http.Response, asked string) error {
	if asked == "" || !strings.EqualFold(upgradeOf(resp.Header), asked) {
		return errBadProtocol
	}
	client, rw, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return fmt.Errorf("take over the client's connection: %w", err)
	}
	defer func() { _ = client.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	if err := x.writeSwitch(rw.Writer, resp, asked); err != nil {
		return nil // the client left, and was sent something
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		pipe(client, conn.Conn, conn.br)
	}()
	pipe(conn.Conn, client, rw.Reader)
	<-done
	return nil
}

func (x *exchange) writeSwitch(w *bufio.Writer, resp *http.Response, protocol string) error {
	writeAll(w, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ", protocol, "\r\n")
	h := http.Header{}
	copyHeader(h, resp.Header)
	x.setSticky(h)
	if err := h.Write(w); err != nil {
		return err
	}
	writeAll(w, "\r\n")
	return w.Flush()
}
