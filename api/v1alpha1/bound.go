package v1alpha1

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MaxStatus is how large a status may be, in bytes of JSON: far below what etcd
// takes, so that many Remediations cost little.
const MaxStatus = 64 << 10

const (
	maxHistory     = 50
	maxHistoryText = 200
)

// Bound brings the status within what the schema and [MaxStatus] allow, so that
// the API server refuses none of it whatever a cluster, a repository or a forge
// gave: texts are cut and hold nothing but printable characters, of lists the
// most important part is kept. Values of an enumeration and times that must be
// set are the caller's. Call it right before the status is written; to call it
// again changes nothing.
func (in *RemediationStatus) Bound() {
	// Half of everything, and half of that, only where hostile texts fill every field.
	for by := shrink(1); by <= 64; by *= 2 {
		in.bound(by)
		if size(in) <= MaxStatus {
			return
		}
	}
}

func (in *RemediationStatus) bound(by shrink) {
	by.conditions(in.Conditions)
	by.line(MaxMessage, &in.Because, &in.FollowUp)
	name(64, &in.Commit)
	in.Evidence = first(in.Evidence, by.of(10))
	for i := range in.Evidence {
		e := &in.Evidence[i]
		name(16, &e.Kind)
		by.line(500, &e.Text)
		by.line(256, &e.Source)
	}
	in.Attempts = last(in.Attempts, by.of(16))
	for i := range in.Attempts {
		a := &in.Attempts[i]
		name(63, &a.Candidate)
		by.line(512, &a.PullRequest)
		name(64, &a.Commit)
	}
	in.History = last(in.History, by.of(maxHistory))
	for i := range in.History {
		name(63, &in.History[i].Step)
		by.line(maxHistoryText, &in.History[i].Text)
	}
	in.Finding.bound(by)
	in.Plan.bound(by)
	in.PullRequest.bound(by)
	in.Nodes.bound(by)
	in.Baseline.bound(by)
	in.Now.bound(by)
	in.Delivery.bound(by)
	in.BreakGlass.bound(by)
}

func size(status any) int {
	b, err := json.Marshal(status)
	if err != nil {
		return 0 // no field of a status fails to encode
	}
	return len(b)
}

func (in *FindingStatus) bound(by shrink) {
	if in == nil {
		return
	}
	by.line(MaxMessage, &in.Summary)
	in.RuledOut = by.lines(in.RuledOut, 10, 300)
}

func (in *PlanStatus) bound(by shrink) {
	if in == nil {
		return
	}
	name(64, &in.Hash, &in.Revision)
	name(63, &in.Candidate)
	by.line(255, &in.Title)
	name(128, &in.ValuesDigest)
	by.line(MaxMessage, &in.Abstained)
	in.Restart = by.lines(in.Restart, 8, 253)
	in.Candidates = first(in.Candidates, by.of(16))
	for i := range in.Candidates {
		name(63, &in.Candidates[i])
	}
	in.Changes = first(in.Changes, by.of(16))
	for i := range in.Changes {
		c := &in.Changes[i]
		by.line(253, &c.Path)
		by.line(256, &c.From, &c.To, &c.File)
	}
	in.ConfigDelta = first(in.ConfigDelta, by.of(16))
	for i := range in.ConfigDelta {
		by.line(253, &in.ConfigDelta[i].Key)
		by.line(256, &in.ConfigDelta[i].Value)
	}
	in.DiffCut = in.DiffCut || len(in.Diff) > by.of(8192)
	in.Diff = clipLines(in.Diff, by.of(8192))
}

func (in *PullRequestStatus) bound(by shrink) {
	if in == nil {
		return
	}
	by.line(512, &in.URL)
	by.line(244, &in.Branch, &in.Base)
	name(64, &in.Commit)
	name(63, &in.Rule)
	in.Because = by.lines(in.Because, 8, 300)
	in.Warnings = by.lines(in.Warnings, 8, 200)
}

func (in *NodesStatus) bound(by shrink) {
	if in == nil {
		return
	}
	in.Waiting = first(in.Waiting, by.of(20))
	for i := range in.Waiting {
		by.line(253, &in.Waiting[i].Node)
		by.line(300, &in.Waiting[i].Reason)
	}
}

func (in *Baseline) bound(by shrink) {
	if in == nil {
		return
	}
	in.Flows = first(in.Flows, by.of(32))
	for i := range in.Flows {
		by.line(100, &in.Flows[i].Class)
	}
	in.Broken = first(in.Broken, by.of(20))
	for i := range in.Broken {
		by.line(253, &in.Broken[i].From, &in.Broken[i].To)
		by.line(100, &in.Broken[i].Class)
	}
	in.Confirmed = first(in.Confirmed, 10)
	for i := range in.Confirmed {
		name(63, &in.Confirmed[i])
	}
}

func (in *DeliveryStatus) bound(by shrink) {
	if in == nil {
		return
	}
	by.line(MaxMessage, &in.Why)
	in.How = clipLines(in.How, by.of(8192))
}

func (in *BreakGlassStatus) bound(by shrink) {
	if in == nil {
		return
	}
	by.line(253, &in.ApprovedBy)
	name(64, &in.Commit)
	by.line(MaxMessage, &in.Message)
}

// Bound does for a policy what [RemediationStatus.Bound] does for a Remediation.
func (in *RemediationPolicyStatus) Bound() {
	by := shrink(1)
	by.conditions(in.Conditions)
	if r := in.Release; r != nil {
		by.line(253, &r.Name)
		name(63, &r.Namespace)
		name(128, &r.Version)
		by.line(317, &r.Kustomization)
		by.line(400, &r.Suspended)
	}
	if s := in.Source; s != nil {
		by.line(317, &s.Name)
		by.line(2048, &s.URL)
		by.line(244, &s.Branch)
		by.line(1024, &s.Path)
	}
	if p := in.Probes; p != nil {
		p.Silent = by.lines(p.Silent, 10, 253)
	}
	in.Active = by.lines(in.Active, 10, 253)
	in.Pending = first(in.Pending, 10)
	for i := range in.Pending {
		p := &in.Pending[i]
		name(63, &p.Signature)
		name(8, &p.Family)
		by.line(500, &p.Lacks)
	}
}

// shrink divides limits.
type shrink int

func (by shrink) of(limit int) int { return max(limit/int(by), 1) }

// name bounds names and hashes, which are of no use in part.
func name(n int, texts ...*string) { shrink(1).line(n, texts...) }

// line makes each text one printable line of at most n bytes.
func (by shrink) line(n int, texts ...*string) {
	for _, t := range texts {
		*t = Clip(*t, by.of(n))
	}
}

func (by shrink) lines(list []string, most, n int) []string {
	list = first(list, by.of(most))
	for i := range list {
		by.line(n, &list[i])
	}
	return list
}

func (by shrink) conditions(list []metav1.Condition) {
	for i := range list {
		by.line(MaxMessage, &list[i].Message)
	}
}

func first[T any](list []T, n int) []T { return list[:min(n, len(list))] }

func last[T any](list []T, n int) []T { return list[len(list)-min(n, len(list)):] }
