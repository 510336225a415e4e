package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/signed"
	"github.com/switchbackdb/switchback/strategies"
)

// The formats of a webhook.
const (
	JSON  = "json"  // the event, as in a line of the file
	Slack = "slack" // {"text": "…"}, which Slack, Mattermost, Rocket.Chat and others take
)

// Options say where events are sent, and how.
type Options struct {
	URL    string // it may hold a secret, and is never shown
	Secret string // signs what is sent; empty for none
	Format string // JSON, or Slack
	// Only are the types that are sent: whole ones, and what types begin with, such as release. All when empty, of
	// Slack those of DefaultSlack.
	Only []string
	// Patience is how long Close waits for what is under way. Zero is DefaultPatience.
	Patience time.Duration
}

// DefaultPatience is how long the end of a command may wait for a receiver.
const DefaultPatience = 10 * time.Second

// DefaultSlack are the types that people want to read: a release has dozens of events.
func DefaultSlack() []string {
	return []string{
		"release", string(strategies.TrafficMoved), string(strategies.GateFailed), string(strategies.GateUndecided),
		string(strategies.StepFailed), string(strategies.StepStuck),
	}
}

const (
	queued  = 1000             // events that may wait for a slow receiver
	timeout = 10 * time.Second // of one request
)

// pauses are those between the tries of one event. A receiver that had failed through all of them gets one try for each
// event after that, until it takes one.
func pauses() []time.Duration {
	return []time.Duration{250 * time.Millisecond, time.Second, 4 * time.Second}
}

// Webhook sends events to a URL. It implements strategies.Observer.
type Webhook struct {
	o      Options
	host   string
	client *http.Client
	queue  chan strategies.Event
	ended  chan struct{} // closed when the queue is empty, after Close
	cancel context.CancelFunc
	// The rest is the goroutine's, until ended is closed; but for lost, which is the caller's.
	failed  int
	down    bool
	problem error
	lost    int // found the queue full
	sent    int
}

// NewWebhook checks the options and begins to send.
func NewWebhook(o Options) (*Webhook, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the URL of the webhook is not http://… or https://…") // it may hold a secret
	}
	if o.Format != JSON && o.Format != Slack {
		return nil, fmt.Errorf("the format of the webhook is %q; there are %s and %s", o.Format, JSON, Slack)
	}
	if o.Patience == 0 {
		o.Patience = DefaultPatience
	}
	if len(o.Only) == 0 && o.Format == Slack {
		o.Only = DefaultSlack()
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &Webhook{
		o: o, host: u.Host, queue: make(chan strategies.Event, queued), ended: make(chan struct{}), cancel: cancel,
		// What is signed for one address is for no other.
		client: &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	go w.run(ctx)
	return w, nil
}

// Host is where it sends to, without what may be secret.
func (w *Webhook) Host() string { return w.host }

// ReleaseEvent implements strategies.Observer.
func (w *Webhook) ReleaseEvent(e strategies.Event) {
	if e.Told || !w.wants(e.Type) {
		return
	}
	select {
	case w.queue <- e:
	default:
		w.lost++
	}
}

func (w *Webhook) wants(t strategies.EventType) bool {
	return len(w.o.Only) == 0 || slices.ContainsFunc(w.o.Only, func(only string) bool {
		return string(t) == only || strings.HasPrefix(string(t), only+".")
	})
}

// Close waits for what is still to be sent, for no longer than the patience, and says what did not arrive.
func (w *Webhook) Close() error {
	close(w.queue)
	end := time.AfterFunc(w.o.Patience, w.cancel)
	<-w.ended
	end.Stop()
	w.cancel()
	if n := w.failed + w.lost; n > 0 {
		problem := w.problem
		if problem == nil {
			problem = fmt.Errorf("more than %d were waiting for it", queued)
		}
		return fmt.Errorf("%d of %d events were not delivered to %s: %w", n, n+w.sent, w.host, problem)
	}
	return nil
}

func (w *Webhook) run(ctx context.Context) {
	defer close(w.ended)
	for e := range w.queue {
		err := w.deliver(ctx, e)
		switch {
		case err == nil:
			w.sent, w.down = w.sent+1, false
			continue
		case !errors.Is(err, context.Canceled):
			w.problem = err
		case w.problem == nil:
			w.problem = errors.New("it took too long")
		}
		w.failed, w.down = w.failed+1, true
	}
}

// deliver sends an event until it is taken, refused for good, or no try is left.
func (w *Webhook) deliver(ctx context.Context, e strategies.Event) error {
	body, err := w.body(e)
	if err != nil {
		return err
	}
	waits := pauses()
	if w.down {
		waits = nil
	}
	for {
		again, err := w.post(ctx, e.ID, body)
		if err == nil || !again || len(waits) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(waits[0]):
		}
		waits = waits[1:]
	}
}

func (w *Webhook) body(e strategies.Event) ([]byte, error) {
	if w.o.Format == Slack {
		plain := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(Text(e)) // Slack's own marks
		return json.Marshal(map[string]string{"text": plain})
	}
	return json.Marshal(e)
}

// post sends a body once. again tells that another try may help.
func (w *Webhook) post(ctx context.Context, id string, body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.o.URL, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("its URL cannot be asked")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "switchback")
	signed.Set(req.Header, w.o.Secret, id, body)
	resp, err := w.client.Do(req)
	if err != nil {
		var ue *url.Error // its text has the URL
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return true, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // for the connection to be used again
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return false, nil
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout:
		return true, fmt.Errorf("it answered %s", resp.Status)
	}
	return false, fmt.Errorf("it answered %s", resp.Status)
}
