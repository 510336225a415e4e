package conformance

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/strategies"
)

// roller is an orchestrator under test, and a second client of it.
type roller struct {
	r, other strategies.Roller
	version  strategies.Version // how the driver runs the application
	pace     strategies.Pace    // a quick one, of two instances
}

// Roller tests an orchestrator. Each call of open gives another client of the same one, in which the application has
// no definition at first; version says how the driver runs the application, whose name and release the suite sets; pace
// is a quick one of two instances, in the orchestrator's words.
func Roller(t *testing.T, version strategies.Version, pace strategies.Pace, open func(*testing.T) strategies.Roller) {
	r := roller{open(t), open(t), version, pace}
	t.Run("knows nothing at first", r.knowsNothing)
	t.Run("prepares, and the same again", r.prepares)
	t.Run("rolls once, however often the same is asked", r.rollsOnce)
	t.Run("refuses a stale fence", r.refusesStale)
	t.Run("leaves alone what it does not expect", r.leavesAlone)
	t.Run("rolls out and back", r.outAndBack)
	t.Run("halts, and goes on", r.halts)
	t.Run("withdraws, once or again", r.withdraws)
}

// to is a replacement by a release, prepared.
func (r roller) to(t *testing.T, release, over string) strategies.Replacement {
	t.Helper()
	to, err := r.other.Prepare(t.Context(), r.raw(release, over))
	require.NoError(t, err)
	return to
}

func (r roller) raw(release, over string) strategies.Replacement {
	v := r.version
	v.Release, v.Slot, v.Name = release, strategies.Green, "v-"+release
	v.Env = map[string]string{"LISTEN": "{{address}}", "NAME": "{{version}}", "SECRET": Secret}
	return strategies.Replacement{Version: v, Over: over, Pace: r.pace, Grace: Patience}
}

// await waits until the orchestrator has replaced all instances by those of the release.
func (r roller) await(t *testing.T, release string) (got strategies.Rollout) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		got, err = r.other.Rollout(t.Context())
		require.NoError(t, err)
		require.Equal(t, release, got.Release)
		require.Empty(t, got.Foreign)
		require.NotContains(t, got.Detail, Secret)
		return got.State == strategies.RollDone
	}, Patience, look, "want %s done", release)
	require.Equal(t, []int{got.Wanted, got.Wanted, 0}, []int{got.Updated, got.Healthy, got.Old})
	require.Equal(t, "v-"+release, got.Version)
	return got
}

// together asks for the same from several places at once.
func (r roller) together(t *testing.T, op strategies.Operation, to strategies.Replacement) {
	t.Helper()
	var all sync.WaitGroup
	for n := range 4 {
		client := []strategies.Roller{r.r, r.other}[n%2]
		all.Go(func() {
			if err := client.Roll(t.Context(), op, to); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func (r roller) knowsNothing(t *testing.T) {
	now, err := r.r.Rollout(t.Context())
	require.NoError(t, err)
	require.Equal(t, strategies.RollAbsent, now.State)
	require.Empty(t, now.Release+now.Operation+now.Foreign)
	require.NotEmpty(t, now.Look)
	require.NoError(t, r.r.Withdraw(t.Context(), op("none", 1), "r0"))
	require.ErrorIs(t, r.r.Halt(t.Context(), op("none", 1), "r0"), strategies.ErrForeignChange)
}

func (r roller) prepares(t *testing.T) {
	once := r.to(t, "r1", "")
	again, err := r.r.Prepare(t.Context(), once)
	require.NoError(t, err)
	require.Equal(t, once, again)
	require.NotContains(t, once.Version.Container.Image, "{{")

	odd := r.raw("r1", "")
	odd.Pace.Order = "both"
	_, err = r.r.Prepare(t.Context(), odd)
	var wrong *strategies.PaceError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, "order", wrong.Word)
	now, err := r.r.Rollout(t.Context())
	require.NoError(t, err)
	require.Equal(t, strategies.RollAbsent, now.State, "preparing changes nothing")
}

func (r roller) rollsOnce(t *testing.T) {
	to := r.to(t, "r1", "")
	r.together(t, op("roll", 5), to)
	now := r.await(t, "r1")
	require.Equal(t, r.pace.Replicas, now.Wanted)
	require.Equal(t, "roll", now.Operation)
	require.Equal(t, int64(5), now.Fence)

	require.NoError(t, r.other.Roll(t.Context(), op("roll", 6), to), "as after a crash: the lock is another's by now")
	again, err := r.r.Rollout(t.Context())
	require.NoError(t, err)
	require.Equal(t, now, again, "nothing was done again")
}

func (r roller) refusesStale(t *testing.T) {
	require.ErrorIs(t, r.other.Roll(t.Context(), op("late", 5), r.to(t, "r2", "r1")), strategies.ErrStaleFence)
	require.ErrorIs(t, r.other.Halt(t.Context(), op("late", 5), "r1"), strategies.ErrStaleFence)
	require.ErrorIs(t, r.other.Withdraw(t.Context(), op("late", 5), "r1"), strategies.ErrStaleFence)
	r.await(t, "r1")
}

func (r roller) leavesAlone(t *testing.T) {
	for _, over := range []string{"r0", ""} {
		require.ErrorIs(t, r.r.Roll(t.Context(), op("other", 6), r.to(t, "r2", over)), strategies.ErrForeignChange)
	}
	require.ErrorIs(t, r.r.Withdraw(t.Context(), op("other", 6), "r0"), strategies.ErrForeignChange)
	require.ErrorIs(t, r.r.Halt(t.Context(), op("other", 6), "r0"), strategies.ErrForeignChange)
	require.Equal(t, "roll", r.await(t, "r1").Operation)
}

func (r roller) outAndBack(t *testing.T) {
	r.together(t, op("out", 7), r.to(t, "r2", "r1"))
	require.Equal(t, r.pace.Replicas, r.await(t, "r2").Wanted)
	back := r.to(t, "r1", "r2")
	back.Pace.Replicas = 0 // as many as there are
	require.NoError(t, r.r.Roll(t.Context(), op("back", 7), back))
	require.Equal(t, r.pace.Replicas, r.await(t, "r1").Wanted)
}

func (r roller) halts(t *testing.T) {
	to := r.to(t, "r3", "r1")
	to.Pace.Replicas = 4
	require.NoError(t, r.r.Roll(t.Context(), op("grow", 8), r.grown(t)))
	r.await(t, "r1")
	require.NoError(t, r.r.Roll(t.Context(), op("slow", 8), to))
	require.NoError(t, r.other.Halt(t.Context(), op("halt", 8), "r3"))
	now, err := r.r.Rollout(t.Context())
	require.NoError(t, err)
	require.Equal(t, strategies.RollHalted, now.State)
	require.Equal(t, "r3", now.Release)
	require.NoError(t, r.other.Halt(t.Context(), op("halt", 8), "r3"), "once or again")
	// What was under way may end, but no more follows.
	require.Never(t, func() bool {
		now, err = r.r.Rollout(t.Context())
		require.NoError(t, err)
		return now.State != strategies.RollHalted || now.Old == 0
	}, time.Second, look)
	require.NoError(t, r.r.Roll(t.Context(), op("slow", 9), to))
	require.Equal(t, 4, r.await(t, "r3").Wanted)
}

// grown is the definition in force, of more instances.
func (r roller) grown(t *testing.T) strategies.Replacement {
	to := r.to(t, "r1", "")
	to.Pace.Replicas = 4
	return to
}

func (r roller) withdraws(t *testing.T) {
	for range 2 {
		require.NoError(t, r.r.Withdraw(t.Context(), op("withdraw", 9), "r3"))
		now, err := r.other.Rollout(t.Context())
		require.NoError(t, err)
		require.Equal(t, strategies.RollAbsent, now.State)
	}
	require.ErrorIs(t, r.other.Roll(t.Context(), op("late", 8), r.to(t, "r4", "")), strategies.ErrStaleFence)
}
