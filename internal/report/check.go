package report

import (
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// The bounds of a check's text: how many entries of a list are shown.
const (
	mostIntroduced = 20
	mostLeft       = 8
	mostRepairs    = 8
	mostChanged    = 4
)

var errNoCheck = errors.New("there is no result of a check to print")

// CheckText writes r for the eye. A change that introduces nothing in a
// repository where nothing is wrong gives one line; otherwise what is
// introduced comes first, then what was wrong before, what is repaired, and the
// counts.
func CheckText(w io.Writer, r *v1alpha1.CheckResult, opt TextOptions) error {
	if r == nil {
		return errNoCheck
	}
	v := newCheckView(r)
	t := newScreen(opt)
	t.checkHeadline(v)
	if !v.silent() {
		t.checkChanged(v)
		t.introduced(v)
		t.left(v)
		t.repairs(v)
		t.checkCounts(v)
	}
	return write(w, "text", []byte(inertLines(t.b.String())))
}

// CheckJSON writes r as JSON: [JSON] without anything in it that a build log's
// reader takes for a command.
func CheckJSON(w io.Writer, r *v1alpha1.CheckResult) error {
	if r == nil {
		return errNoCheck
	}
	text, err := marshal(r)
	if err != nil {
		return err
	}
	return write(w, "JSON", inertJSON(text))
}

// checkView is a result in the parts that every form prints.
type checkView struct {
	*v1alpha1.CheckResult
	introduced, left []v1alpha1.Problem
	fails            int // introduced problems at or above FailOn
}

func newCheckView(r *v1alpha1.CheckResult) *checkView {
	v := &checkView{CheckResult: r}
	told := slices.DeleteFunc(slices.Clone(r.Problems), func(p v1alpha1.Problem) bool { return !p.Introduced && v.masked(p) })
	for _, p := range inOne(told) {
		if !p.Introduced {
			v.left = append(v.left, p)
			continue
		}
		if v.introduced = append(v.introduced, p); p.Severity.Rank() >= v.failOn().Rank() {
			v.fails++
		}
	}
	return v
}

// mostClusters is how many clusters are named that have one problem in common.
const mostClusters = 3

// inOne makes one problem of those that several clusters have from the same line
// of the same file; its cluster path then names them all.
func inOne(problems []v1alpha1.Problem) []v1alpha1.Problem {
	type identity struct {
		introduced                                        bool
		severity                                          v1alpha1.Severity
		signature, release, family, file, summary, advice string
		line                                              int
	}
	var out []v1alpha1.Problem
	at, clusters := map[identity]int{}, map[identity][]string{}
	for _, p := range problems {
		id := identity{p.Introduced, p.Severity, p.Signature, p.Release, p.Family, p.File, p.Summary, p.Advice, p.Line}
		i, known := at[id]
		if !known || p.File == "" {
			at[id] = len(out)
			clusters[id] = []string{path.Clean(p.ClusterPath)}
			out = append(out, p)
			continue
		}
		if c := path.Clean(p.ClusterPath); !slices.Contains(clusters[id], c) {
			clusters[id] = append(clusters[id], c)
		}
		out[i].ClusterPath = joined(clusters[id], mostClusters)
	}
	return out
}

// masked says whether a repair tells that p is only hidden, which says more than
// that it was there before.
func (v *checkView) masked(p v1alpha1.Problem) bool {
	return slices.ContainsFunc(v.Repairs, func(r v1alpha1.Repair) bool {
		return r.MaskedBy != "" && r.Signature == p.Signature && r.Release == p.Release && r.ClusterPath == p.ClusterPath
	})
}

// silent says whether the headline tells everything: nothing is wrong, or the
// change has nothing to do with warnings that were there before.
func (v *checkView) silent() bool {
	return len(v.Problems) == 0 && len(v.Repairs) == 0 || v.unrelated()
}

// unrelated: the change touches no value of any release, and what was wrong
// before is less than critical. Whoever changes something else is not asked to
// read it again each time.
func (v *checkView) unrelated() bool {
	touched := func(r v1alpha1.CheckedRelease) bool { return r.In != "both" || len(r.Changed) > 0 }
	return len(v.introduced) == 0 && len(v.Repairs) == 0 && countSeverity(v.left, v1alpha1.SeverityCritical) == 0 &&
		!slices.ContainsFunc(v.Releases, touched)
}

// aside counts what was wrong before where nothing else tells it.
func (v *checkView) aside() string {
	if len(v.left) == 0 || !v.unrelated() {
		return ""
	}
	return "already wrong: " + count(len(v.left), "warning")
}

// headline is the verdict in one line of at most w cells: the longest of its
// forms that fits.
func (v *checkView) headline(w int) string {
	mark := "✔ "
	if v.fails > 0 {
		mark = "✗ "
	}
	says := mark + v.subject() + ": " + v.verdict()
	if len(v.Releases) == 0 && len(v.Problems) == 0 {
		says = mark + "no Cilium release here: nothing to check"
	}
	base := "base " + state(v.Base)
	forms := []string{base + v.unjudged(), base}
	if aside := v.aside(); aside != "" {
		forms = []string{base + "; " + aside + v.unjudged(), base + "; " + aside, aside}
	}
	for _, remark := range forms {
		if s := says + " (" + remark + ")"; width(s) <= w {
			return s
		}
	}
	return cut(says, w)
}

func (v *checkView) verdict() string {
	switch n := len(v.introduced); {
	case n == 0 && v.Same:
		return "this change breaks nothing, as no file differs"
	case n == 0:
		return "this change breaks nothing"
	case v.fails == 0:
		return "this change introduces " + count(n, "problem") + ", none at or above " + string(v.failOn())
	default:
		return "this change introduces " + count(n, "problem")
	}
}

func (v *checkView) failOn() v1alpha1.Severity {
	if v.FailOn.Rank() == 0 {
		return v1alpha1.SeverityWarning
	}
	return v.FailOn
}

// subject names the release when it is the only one.
func (v *checkView) subject() string {
	if len(v.Releases) == 1 {
		return line(v.Releases[0].Release)
	}
	if len(v.Releases) == 0 {
		return "Cilium"
	}
	return count(len(v.Releases), "Cilium release")
}

func (v *checkView) unjudged() string {
	switch n := len(v.Unknown); n {
	case 0:
		return ""
	case 1:
		return "; not known: " + cut(line(v.Unknown[0]), 60)
	default:
		return fmt.Sprintf("; %d facts not known, see -o json", n)
	}
}

// hash is a whole commit hash, and its first seven digits.
var hash = regexp.MustCompile(`\b([0-9a-f]{7})[0-9a-f]{33}\b`)

// state names one state of the repository: "origin/main 1a2b3c4".
func state(s v1alpha1.CheckState) string {
	name := cut(hash.ReplaceAllString(line(s.Name), "$1"), 40)
	commit, _ := split(line(s.Commit), 7)
	switch {
	case name == "":
		return orElse(commit, "unknown")
	case commit == "":
		return name
	case strings.HasPrefix(s.Commit, s.Name):
		return commit
	}
	return name + " " + commit
}

// location is where a problem stands: in its own file, else in that of its
// release's HelmRelease; line 0 means the whole file.
func (v *checkView) location(p v1alpha1.Problem) (file string, line int) {
	if p.File != "" {
		return p.File, max(p.Line, 0)
	}
	for _, r := range v.Releases {
		if r.File != "" && r.Release == p.Release && r.ClusterPath == p.ClusterPath {
			return r.File, max(r.Line, 0)
		}
	}
	return "", 0
}

// at is file:line for a reader.
func at(file string, n int) string {
	if n > 0 {
		return fmt.Sprintf("%s:%d", line(file), n)
	}
	return line(file)
}

// about says which release and family a problem is of; the release only where
// there are several.
func (v *checkView) about(release, clusterPath, family string) string {
	var parts []string
	if len(v.Releases) > 1 && release != "" {
		parts = append(parts, line(release))
		if clusterPath != "" {
			parts = append(parts, "in "+line(path.Clean(clusterPath)))
		}
	}
	if family != "" {
		parts = append(parts, line(family))
	}
	return strings.Join(parts, " · ")
}

var (
	// logCommand finds commands that a build log's reader obeys anywhere in a
	// line: GitHub's ##[name], Azure's ##vso[name], TeamCity's ##teamcity[name].
	logCommand = regexp.MustCompile(`##(\w*\[)`)
	// lineCommand finds GitHub's ::name::, which stands at a line's start.
	lineCommand = regexp.MustCompile(`(?m)^([ \t]*)::(.*::)`)
)

// inertLines takes from text what a build log's reader would obey.
func inertLines(s string) string {
	return lineCommand.ReplaceAllString(logCommand.ReplaceAllString(s, "#·$1"), "$1∷$2")
}

// inertJSON is inertLines for JSON: the same document in other bytes. No line of
// indented JSON starts with a colon.
func inertJSON(text []byte) []byte {
	return logCommand.ReplaceAll(text, []byte(`#\u0023$1`))
}
