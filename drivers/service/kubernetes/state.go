package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/strategies"
)

// deployment is what is read of a Deployment.
type deployment struct {
	Metadata struct {
		Generation int64 `json:"generation"`
	} `json:"metadata"`
	Status struct {
		ObservedGeneration int64       `json:"observedGeneration"`
		Replicas           int32       `json:"replicas"`
		UpdatedReplicas    int32       `json:"updatedReplicas"`
		AvailableReplicas  int32       `json:"availableReplicas"`
		Conditions         []condition `json:"conditions"`
	} `json:"status"`
}

type condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// pod is what is read of a pod.
type pod struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Status struct {
		Phase             string      `json:"phase"`
		Conditions        []condition `json:"conditions"`
		ContainerStatuses []container `json:"containerStatuses"`
	} `json:"status"`
}

type container struct {
	Name         string `json:"name"`
	RestartCount int    `json:"restartCount"`
	State        struct {
		Waiting *struct {
			Reason  string `json:"reason"`
			Message string `json:"message"`
		} `json:"waiting"`
	} `json:"state"`
	LastState struct {
		Terminated *struct {
			ExitCode int    `json:"exitCode"`
			Reason   string `json:"reason"`
		} `json:"terminated"`
	} `json:"lastState"`
}

// instance describes a Deployment.
func (s *Service) instance(o *cluster.Object, state strategies.State, detail string) strategies.Instance {
	labels, notes := o.GetLabels(), o.GetAnnotations()
	i := strategies.Instance{
		ID: labels[labelInstance], Release: notes[labelRelease], Version: notes[labelVersion], Slot: strategies.Slot(labels[labelSlot]),
		Address: fmt.Sprintf("%s.%s.svc:%s", o.GetName(), s.cluster.Namespace, notes[notePort]), State: state, Detail: detail,
		Started: o.GetCreationTimestamp().Time,
	}
	if begun, err := time.Parse(time.RFC3339Nano, notes[noteStarted]); err == nil {
		i.Started = begun
	}
	return i
}

// state looks at a Deployment, and at its pods where they say more.
func (s *Service) state(ctx context.Context, o *cluster.Object) (strategies.Instance, error) {
	var d deployment
	if err := cluster.Decode(o, &d); err != nil {
		return strategies.Instance{}, err
	}
	wanted := replicas(o)
	followed := d.Status.ObservedGeneration >= d.Metadata.Generation
	switch {
	case wanted == 0 && followed && d.Status.Replicas == 0:
		return s.instance(o, strategies.StateStopped, "is scaled to 0"), nil
	case wanted == 0:
		return s.instance(o, strategies.StateFailing, "is scaled to 0, and its pods are ending"), nil
	case !followed:
		return s.instance(o, strategies.StateStarting, "the cluster has not looked at it yet; is its controller manager running?"), nil
	case d.Status.UpdatedReplicas >= wanted && d.Status.AvailableReplicas >= wanted && d.Status.Replicas == d.Status.UpdatedReplicas:
		return s.instance(o, strategies.StateHealthy, ""), nil
	}
	return s.unhealthy(ctx, o, d, wanted)
}

// unhealthy says why not as many pods are available as there are to be.
func (s *Service) unhealthy(ctx context.Context, o *cluster.Object, d deployment, wanted int32) (strategies.Instance, error) {
	found, err := s.cluster.List(ctx, cluster.Pods, s.labels(o.GetLabels()[labelInstance]))
	if err != nil {
		return strategies.Instance{}, err
	}
	state := strategies.StateStarting
	detail := fmt.Sprintf("%d of %d pods are available", d.Status.AvailableReplicas, wanted)
	for _, c := range d.Status.Conditions {
		switch {
		case c.Type == "Progressing" && c.Reason == "ProgressDeadlineExceeded":
			state, detail = strategies.StateFailing, detail+"; its progressDeadlineSeconds are over"
		case c.Type == "ReplicaFailure" && c.Status == "True":
			detail += "; no pod can be made: " + c.Message
		}
	}
	ended := d.Status.AvailableReplicas == 0 && len(found) > 0
	var said []string
	for n := range found {
		var p pod
		if err := cluster.Decode(&found[n], &p); err != nil {
			return strategies.Instance{}, err
		}
		why, over := p.trouble()
		if ended = ended && over; why != "" && !slices.Contains(said, why) {
			said = append(said, why)
			detail += fmt.Sprintf("; pod %s: %s", p.Metadata.Name, why)
		}
	}
	if ended {
		state = strategies.StateStopped
	}
	if len(said) > 0 {
		detail += "; next: " + s.cluster.Kubectl("describe deployment,pods -l "+labelInstance+"="+o.GetLabels()[labelInstance])
	}
	return s.instance(o, state, detail), nil
}

// givenUp is after how many restarts a container that ended again is taken for ended: by then the cluster waits for
// a minute and more before the next.
const givenUp = 3

// trouble is why a pod is not ready, and whether it ends again and again.
func (p pod) trouble() (why string, ended bool) {
	var list []string
	for _, c := range p.Status.Conditions {
		if c.Type == "PodScheduled" && c.Status == "False" {
			list = append(list, strings.TrimSuffix(c.Reason+": "+c.Message, ": "))
		}
	}
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Waiting == nil || c.State.Waiting.Reason == "ContainerCreating" {
			continue
		}
		text := c.Name + " is waiting, " + strings.TrimSuffix(c.State.Waiting.Reason+": "+c.State.Waiting.Message, ": ")
		if t := c.LastState.Terminated; t != nil {
			text += fmt.Sprintf(", after it exited with code %d (%s) and was restarted %d times", t.ExitCode, t.Reason, c.RestartCount)
			ended = ended || c.State.Waiting.Reason == "CrashLoopBackOff" && c.RestartCount >= givenUp
		}
		list = append(list, text)
	}
	if len(list) == 0 && p.Status.Phase == "Running" {
		for _, c := range p.Status.Conditions {
			if c.Type == "Ready" && c.Status == "False" {
				list = append(list, "runs, but its readiness probe has not succeeded")
			}
		}
	}
	return strings.Join(list, "; "), ended
}
