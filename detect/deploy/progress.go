package deploy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remediate-dev/remediate/internal/natural"
)

// Progress is how far the probes have come.
type Progress struct {
	// Want pods, Ready of them; Want is 0 until the DaemonSets have been looked at.
	Want, Ready int
	// Excused are the nodes, in natural order, that are not ready: their pods, if they have
	// any, are not waited for.
	Excused []string
	missing int
	// Known: each DaemonSet has been looked at by its controller.
	Known bool
	// Why pods do not start, the most frequent reason first.
	Why []Reason
}

// Reason is why pods do not start.
type Reason struct {
	Text string
	Pods int
	// Example is one of them: namespace/name, on a node.
	Example string
}

func (r Reason) String() string {
	if r.Pods <= 1 {
		return fmt.Sprintf("%s: %s", r.Example, r.Text)
	}
	return fmt.Sprintf("%d pods, such as %s: %s", r.Pods, r.Example, r.Text)
}

// Done says whether every pod that is wanted runs, but for those on nodes that are
// not ready.
func (p Progress) Done() bool { return p.Known && p.Ready > 0 && p.Ready+p.missing >= p.Want }

// ProgressOf judges the DaemonSets and pods of the probes.
func ProgressOf(f Facts) Progress {
	p := Progress{Known: len(f.DaemonSets) > 0}
	for _, d := range f.DaemonSets {
		if d.Status.ObservedGeneration < d.Generation {
			p.Known = false
		}
		p.Want += int(d.Status.DesiredNumberScheduled)
		p.Ready += int(d.Status.NumberReady)
	}
	p.Known = p.Known && p.Want > 0
	down := notReady(f.Nodes)
	for _, n := range f.Nodes {
		if down[n.Name] {
			p.Excused = append(p.Excused, n.Name)
		}
	}
	reasons := map[string]*Reason{}
	for _, pod := range f.Pods {
		if down[pod.Spec.NodeName] && !podReady(pod) {
			p.missing++
			continue
		}
		text := waiting(pod)
		if text == "" {
			continue
		}
		if reasons[text] == nil {
			reasons[text] = &Reason{Text: text, Example: example(pod)}
		}
		reasons[text].Pods++
	}
	for _, r := range reasons {
		p.Why = append(p.Why, *r)
	}
	slices.SortFunc(p.Excused, natural.Compare)
	p.Excused = slices.Compact(p.Excused)
	slices.SortFunc(p.Why, func(a, b Reason) int { return cmp.Or(cmp.Compare(b.Pods, a.Pods), cmp.Compare(a.Text, b.Text)) })
	return p
}

func notReady(nodes []*corev1.Node) map[string]bool {
	out := map[string]bool{}
	for _, n := range nodes {
		out[n.Name] = slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue
		})
	}
	return out
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func example(pod *corev1.Pod) string {
	s := pod.Namespace + "/" + pod.Name
	if pod.Spec.NodeName != "" {
		s += " on " + pod.Spec.NodeName
	}
	return s
}

// waiting is why a pod does not run; empty for one that runs, ends, or has only
// just been made.
func waiting(pod *corev1.Pod) string {
	if pod.DeletionTimestamp != nil {
		return ""
	}
	for _, c := range pod.Status.ContainerStatuses {
		if s := stuck(c); s != "" {
			return s
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		return strings.TrimSpace(pod.Status.Reason + " " + pod.Status.Message)
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return strings.TrimSpace(c.Reason + ": " + c.Message)
		}
	}
	return ""
}

func stuck(c corev1.ContainerStatus) string {
	switch w := c.State.Waiting; {
	case w == nil && c.State.Terminated != nil:
		return ended(c.State.Terminated)
	case w == nil, w.Reason == "ContainerCreating", w.Reason == "PodInitializing", w.Reason == "":
		return ""
	case c.LastTerminationState.Terminated != nil:
		return w.Reason + ", " + ended(c.LastTerminationState.Terminated)
	case w.Message != "":
		return w.Reason + ": " + w.Message
	default:
		return w.Reason
	}
}

func ended(t *corev1.ContainerStateTerminated) string {
	s := fmt.Sprintf("the probe ended with exit code %d (%s)", t.ExitCode, cmp.Or(t.Reason, "no reason given"))
	if t.Message != "" {
		s += ": " + t.Message
	}
	return s
}
