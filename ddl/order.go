package ddl

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"
)

// CycleError is the error for steps each of which has to come before the next, and the last before the
// first. A writer breaks cycles by splitting steps before it asks for an order.
type CycleError struct{ IDs []string }

func (e *CycleError) Error() string {
	return fmt.Sprintf("these steps depend on each other in a circle: %s", strings.Join(e.IDs, " → "))
}

// Order returns the steps in an order in which each comes after those that it has to come after, and
// which is otherwise that of ranks and IDs. The error is a *CycleError when there is none.
func Order(steps []Step) ([]Step, error) {
	at := make(map[string]int, len(steps))
	for i, s := range steps {
		if _, twice := at[s.ID]; twice {
			return nil, fmt.Errorf("two steps have the name %q", s.ID)
		}
		at[s.ID] = i
	}
	waits, next := make([]int, len(steps)), make([][]int, len(steps))
	for i, s := range steps {
		for _, id := range slices.Compact(slices.Sorted(slices.Values(s.After))) {
			if before, there := at[id]; there && before != i {
				waits[i]++
				next[before] = append(next[before], i)
			}
		}
	}
	ready := &queue{steps: steps}
	for i := range steps {
		if waits[i] == 0 {
			heap.Push(ready, i)
		}
	}
	out := make([]Step, 0, len(steps))
	for ready.Len() > 0 {
		i := heap.Pop(ready).(int)
		out = append(out, steps[i])
		for _, n := range next[i] {
			if waits[n]--; waits[n] == 0 {
				heap.Push(ready, n)
			}
		}
	}
	if len(out) < len(steps) {
		return nil, &CycleError{IDs: circle(steps, at, waits)}
	}
	return out, nil
}

// circle finds a circle among the steps that still wait.
func circle(steps []Step, at map[string]int, waits []int) []string {
	i := slices.IndexFunc(waits, func(n int) bool { return n > 0 })
	seen := map[int]int{}
	var trail []string
	for {
		if from, again := seen[i]; again {
			circle := append(trail[from:], steps[i].ID)
			slices.Reverse(circle)
			return circle
		}
		seen[i] = len(trail)
		trail = append(trail, steps[i].ID)
		for _, id := range steps[i].After {
			if before, there := at[id]; there && before != i && waits[before] > 0 {
				i = before
				break
			}
		}
	}
}

// queue holds the steps that may come next, the first of them on top.
type queue struct {
	steps []Step
	items []int
}

func (q *queue) Len() int { return len(q.items) }

func (q *queue) Less(i, j int) bool {
	a, b := q.steps[q.items[i]], q.steps[q.items[j]]
	if a.Rank != b.Rank {
		return a.Rank < b.Rank
	}
	return a.ID < b.ID
}

func (q *queue) Swap(i, j int) { q.items[i], q.items[j] = q.items[j], q.items[i] }

func (q *queue) Push(x any) { q.items = append(q.items, x.(int)) }

func (q *queue) Pop() any {
	last := q.items[len(q.items)-1]
	q.items = q.items[:len(q.items)-1]
	return last
}
