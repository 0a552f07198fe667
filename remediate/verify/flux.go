package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// skew is how far the clocks of two servers may be apart before what they date is
// taken in the wrong order.
const skew = 2 * time.Minute

// reconciled goes the way that a commit takes: source, Kustomizations, HelmRelease,
// cilium-config. Each is looked at, so that the first that lacks something is told
// from those behind it.
func (j *judge) reconciled() {
	if !j.done(StageMerged) {
		j.wait(StageReconciled, snapshot.No, "", "the change has to be merged first")
		j.live = j.configHolds()
		return
	}
	j.source()
	for _, k := range j.in.Kustomizations {
		j.kustomization(k)
	}
	if len(j.in.Kustomizations) == 0 {
		j.wait(StageReconciled, snapshot.Unknown, "", "no Kustomization was seen that applies the release")
	}
	j.config()
	j.release()
	if j.live == snapshot.Yes && !j.done(StageReconciled) {
		j.evidence("config", j.in.Config.Object, "holds the planned keys, although Flux has not released the commit: somebody brought them there another way")
	}
}

func (j *judge) source() {
	s := j.in.Source
	switch {
	case s.Object == "":
		j.wait(StageReconciled, snapshot.Unknown, "", "no source was seen that Flux fetches the commit from")
	case s.Contains == snapshot.Yes:
		j.evidence("flux", s.Object, "its artifact %s holds the commit", name(s.Revision))
	case s.Suspended:
		j.stuck(StageReconciled, s.Object, "it is suspended at %s: resume it", revision(s.Revision))
	case s.Contains == snapshot.No:
		j.wait(StageReconciled, snapshot.No, s.Object, "its artifact is %s, which does not hold %s%s", revision(s.Revision), short(j.in.Merged.Commit), unready(s.Ready, s.Message))
	default:
		j.wait(StageReconciled, snapshot.Unknown, s.Object, "it is not known whether %s holds %s%s", revision(s.Revision), short(j.in.Merged.Commit), unready(s.Ready, s.Message))
	}
}

func revision(r string) string {
	if r == "" {
		return "no revision"
	}
	return name(r)
}

// unready is what an object that is not ready says of itself.
func unready(ready snapshot.Tri, message string) string {
	if ready == snapshot.No {
		return said(message)
	}
	return ""
}

func (j *judge) kustomization(k Kustomization) {
	switch {
	case k.Contains == snapshot.Yes:
		j.evidence("flux", k.Object, "applied %s", name(k.Revision))
	case k.Suspended:
		j.stuck(StageReconciled, k.Object, "it is suspended at %s: resume it", revision(k.Revision))
	case k.Contains == snapshot.No:
		j.wait(StageReconciled, snapshot.No, k.Object, "it applied %s, which does not hold %s%s", revision(k.Revision), short(j.in.Merged.Commit), unready(k.Ready, k.Message))
	default:
		j.wait(StageReconciled, snapshot.Unknown, k.Object, "it is not known whether %s holds %s%s", revision(k.Revision), short(j.in.Merged.Commit), unready(k.Ready, k.Message))
	}
}

// config compares cilium-config with what is planned, key by key.
func (j *judge) config() {
	j.live = j.configHolds()
	c := j.in.Config
	switch j.live {
	case snapshot.Unknown:
		j.wait(StageReconciled, snapshot.Unknown, c.Object, "%s", j.configUnknown())
	case snapshot.No:
		j.wait(StageReconciled, snapshot.No, c.Object, "%s", strings.Join(j.differs(), "; "))
	default:
		j.since = j.changed()
		j.evidence("config", c.Object, "holds %s", j.planned())
	}
}

func (j *judge) configUnknown() string {
	if len(j.in.Planned.Config) == 0 {
		return "it is not known which keys the change is to set"
	}
	return "it was not read"
}

func (j *judge) configHolds() snapshot.Tri {
	switch {
	case !j.in.Config.Known || len(j.in.Planned.Config) == 0:
		return snapshot.Unknown
	case len(j.differs()) > 0:
		return snapshot.No
	}
	return snapshot.Yes
}

// differs says which planned keys are not as planned.
func (j *judge) differs() []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(j.in.Planned.Config)) {
		want, is := j.in.Planned.Config[key], j.in.Config.get(key)
		if equal(want, is) {
			continue
		}
		out = append(out, fmt.Sprintf("%s is %s, and planned is %s", name(key), shown(is), shown(want)))
	}
	return out[:min(len(out), maxListed)]
}

func (j *judge) planned() string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(j.in.Planned.Config)) {
		out = append(out, name(key)+" "+shown(j.in.Planned.Config[key]))
	}
	return some(out)
}

// get is a key's value; nil when it is not there.
func (c Config) get(key string) *string {
	if key == MasqAgentKey {
		return c.MasqAgent
	}
	v, ok := c.Data[key]
	if !ok {
		return nil
	}
	return &v
}

// equal compares values as they are read: white space at the end of a file makes
// no difference.
func equal(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return strings.TrimSpace(*a) == strings.TrimSpace(*b)
}

func shown(v *string) string {
	if v == nil {
		return "not set"
	}
	const most = 80
	return fmt.Sprintf("%q", clip(*v, most))
}

// changed is when the planned keys came to be there, as far as that is known: not
// later than the data last changed, or an earlier look saw them.
func (j *judge) changed() time.Time {
	c := j.in.Config
	changed := c.Changed
	if _, masq := j.in.Planned.Config[MasqAgentKey]; masq {
		if len(j.in.Planned.Config) == 1 {
			changed = c.MasqAgentChanged
		} else {
			changed = latest(c.Changed, c.MasqAgentChanged)
		}
	}
	return earliest(changed, j.in.Before.Reconciled)
}

// release: the newest release has the planned values, or such as came with a later
// commit; then the planned keys of cilium-config decide.
func (j *judge) release() {
	r := j.in.Release
	switch {
	case r.Object == "":
		j.wait(StageReconciled, snapshot.Unknown, "", "the HelmRelease was not seen")
		return
	case r.released(j.in.Planned.ValuesDigest):
		j.evidence("flux", r.Object, "released the planned values (%s)", name(r.Digest))
		return
	case r.Suspended:
		j.stuck(StageReconciled, r.Object, "it is suspended: resume it")
		return
	case r.Status != "" && r.Status != deployed:
		j.wait(StageReconciled, snapshot.No, r.Object, "its newest release is %s%s", clip(r.Status, 40), unready(r.Ready, r.Message))
		return
	case r.Ready == snapshot.No:
		j.wait(StageReconciled, snapshot.No, r.Object, "it is not ready%s", said(r.Message))
		return
	case r.Observed < r.Generation:
		j.wait(StageReconciled, snapshot.No, r.Object, "helm-controller has not seen its newest state")
		return
	}
	j.releasedLater(r)
}

// deployed is the status of a release in Helm that is in place.
const deployed = "deployed"

func (r Release) released(digest string) bool {
	return digest != "" && r.Digest == digest && r.Status == deployed
}

// releasedLater: the digest is not known, or another one, because later commits
// changed further values. It must be a release that was made after the merge.
func (j *judge) releasedLater(r Release) {
	switch {
	case r.Deployed.IsZero():
		j.wait(StageReconciled, snapshot.Unknown, r.Object, "it is not known which values it released")
	case !j.in.Merged.At.IsZero() && r.Deployed.Before(j.in.Merged.At.Add(-skew)):
		j.wait(StageReconciled, snapshot.No, r.Object, "its newest release is from %s, before the merge", stamp(r.Deployed))
	case j.in.Merged.At.IsZero() && j.in.Planned.ValuesDigest != "":
		j.wait(StageReconciled, snapshot.No, r.Object, "its newest release has other values than planned (%s)", name(r.Digest))
	case j.live != snapshot.Yes:
		j.wait(StageReconciled, j.live, r.Object, "it released other values than planned")
	default:
		j.evidence("flux", r.Object, "released values at %s that hold the planned keys%s", stamp(r.Deployed), otherDigest(j.in.Planned.ValuesDigest, r.Digest))
	}
}

func otherDigest(planned, is string) string {
	if planned == "" {
		return "; the digest of the planned values is not known"
	}
	if planned != is {
		return "; other values than the planned ones differ too"
	}
	return ""
}
