package migrate

import (
	"context"
	"sync"
	"time"
)

// Bounds of the pace of a backfill.
const (
	minBatchSize = 100
	maxGrowth    = 10 // times the size of the directive
	restShare    = 8  // a pause of an eighth of the batch's time leaves room for others
	leastAim     = 8  // of the time that a batch may take, what is aimed at when others keep waiting
)

// pace says how many rows the batches of a walk have and how long it rests between them. Row locks are
// held for as long as a batch takes, so that is about the longest that a write of the application waits.
// So batches are made to take three quarters of what they may: one takes longer now and then, on a server that has
// other work. After a batch for which somebody was seen waiting, the next are aimed at less: by a quarter for one
// session, by half for more, and back by an eighth with each batch that kept nobody. One that waits now and then is
// what that time is for; several at once are a queue.
type pace struct {
	may   time.Duration // how long a batch may take
	aim   time.Duration // how long the next one should
	pause time.Duration // the least pause
	size  int           // rows of the next batch
	least int
	most  int
}

func newPace(b Batch, may time.Duration) pace {
	if b.Time > 0 {
		may = b.Time
	}
	return pace{may: may, aim: may, pause: b.Pause, size: b.Size, least: min(minBatchSize, b.Size), most: min(b.Size*maxGrowth, maxBatchSize)}
}

// after sets the pace by what the last batch took and how many sessions were seen waiting for it. It
// returns the pause before the next.
func (p *pace) after(took time.Duration, waiters int) time.Duration {
	if quarters := min(waiters, 2); quarters > 0 {
		p.aim = max(p.aim-p.aim/4*time.Duration(quarters), p.may/leastAim)
		p.size = max(p.size-p.size/4*quarters, p.least)
		return max(p.pause, took/2*time.Duration(quarters)) // they get their turn
	}
	p.aim = min(p.aim+p.aim/8, p.may)
	due := p.size * 3 / 2
	if took > 0 {
		due = int(float64(p.size) * 3 / 4 * float64(p.aim) / float64(took))
	}
	due = min(max(due, p.size/2), p.size*3/2+1) // one batch says little about the next
	p.size = min(max(due, p.least), p.most)
	return max(p.pause, took/restShare)
}

// lookEvery is how often it is looked for sessions that wait. MariaDB refreshes what it tells of locks
// only when nobody has asked for a tenth of a second.
const lookEvery = 110 * time.Millisecond

// waiting counts the sessions that a backfill keeps waiting.
type waiting struct {
	stop    context.CancelFunc
	looking sync.WaitGroup

	mu   sync.Mutex
	most int // that were seen at once since the last batch
}

// keptWaiting looks for sessions that wait for locks of this one until its end is called. Where the role
// may not see that, nobody is seen.
func (s *Session) keptWaiting(ctx context.Context) *waiting {
	w := &waiting{}
	ctx, w.stop = context.WithCancel(ctx)
	if s.lock.session != "" {
		w.looking.Go(func() { w.look(ctx, s) })
	}
	return w
}

func (w *waiting) look(ctx context.Context, s *Session) {
	for sleep(ctx, lookEvery) == nil {
		n, err := s.db.Waiters(ctx, s.lock.session)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.most = max(w.most, n)
		w.mu.Unlock()
	}
}

// since is how many were seen since it was called last.
func (w *waiting) since() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.most
	w.most = 0
	return n
}

func (w *waiting) end() {
	w.stop()
	w.looking.Wait()
}

// How often it is asked how far the replicas are behind: while the walk goes on, and while it waits.
const (
	lagEvery     = time.Second
	lagWaitEvery = 500 * time.Millisecond
	lagTimeout   = 5 * time.Second // for an answer
)

// lagWatch keeps a walk from getting too far ahead of the replicas.
type lagWatch struct {
	s     *Session
	asked time.Time
}

// hold returns once no replica is too far behind. tell is called with the one that is furthest, while it
// waits.
func (l *lagWatch) hold(ctx context.Context, tell func(Lag)) error {
	most := l.s.opts.MaxLag
	if most < 0 || time.Since(l.asked) < lagEvery {
		return nil
	}
	for {
		furthest := l.furthest(ctx)
		l.asked = time.Now()
		if furthest.Problem == "" && furthest.Behind <= most {
			return nil
		}
		tell(furthest)
		if err := sleep(ctx, lagWaitEvery); err != nil {
			return err
		}
	}
}

// furthest is the replica that is furthest behind. One that cannot be asked is further than any: it may
// be, and it may come back. What the target itself may not be asked is left out.
func (l *lagWatch) furthest(ctx context.Context) (most Lag) {
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	lags, err := l.s.db.Lags(ctx)
	if err != nil {
		lags = nil
	}
	for _, r := range l.s.opts.Replicas {
		lag, err := r.Lag(ctx)
		if err != nil {
			lag.Problem = err.Error()
		}
		lags = append(lags, lag)
	}
	for _, lag := range lags {
		if lag.Problem != "" {
			return lag
		}
		if lag.Behind > most.Behind {
			most = lag
		}
	}
	return most
}
