package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

const (
	informationURI = "https://github.com/remediate-dev/remediate"
	// sarifSchema is the schema's own id.
	sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	// sourceRoot stands for the root of the checkout in every URI.
	sourceRoot = "%SRCROOT%"
	// fingerprint names our identity of a result. GitHub adds its own, the hash
	// of the line, where a file and a line are given.
	fingerprint = "remediateProblem/v1"
)

// SARIF writes r as SARIF 2.1.0: one result for each problem, with the baseline
// state "new" for what the change introduces and "unchanged" for what was wrong
// before. Repairs are a property of the run, because readers list every result
// as something to do. Paths are relative to the root of the repository.
func SARIF(w io.Writer, r *v1alpha1.CheckResult, opt SARIFOptions) error {
	if r == nil {
		return errNoCheck
	}
	text, err := json.Marshal(sarifReport(r, opt))
	if err != nil {
		return fmt.Errorf("failed to write SARIF: %w", err)
	}
	text, err = pruned(text)
	if err != nil {
		return fmt.Errorf("failed to write SARIF: %w", err)
	}
	return write(w, "SARIF", inertJSON(escapeRunes(text, jsonEscape)))
}

func sarifReport(r *v1alpha1.CheckResult, opt SARIFOptions) *sarif.Report {
	v := newCheckView(r)
	rules := usedRules(r, opt.Rules)
	run := sarif.NewRunWithInformationURI("remediate", informationURI)
	if opt.Version != "" {
		run.Tool.Driver.WithVersion(line(opt.Version))
	}
	for _, rule := range rules {
		run.Tool.Driver.AddRule(sarifRule(rule))
	}
	run.WithOriginalUriBaseIds(map[string]sarif.ArtifactLocation{sourceRoot: {
		Index: -1, Description: sarif.NewMessage().WithText("the root of the repository"),
	}})
	run.AddInvocation(invocation(r))
	run.WithProperties(runProperties(r))
	seen := map[string]int{}
	for _, p := range r.Problems {
		result := v.sarifResult(p, slices.IndexFunc(rules, func(rule Rule) bool { return rule.ID == p.Signature }))
		id := identity(p)
		if seen[id]++; seen[id] > 1 {
			id = fmt.Sprintf("%s:%d", id, seen[id])
		}
		run.AddResult(result.WithPartialFingerprints(map[string]string{fingerprint: id}))
	}
	report := sarif.NewReport().AddRun(run)
	report.Schema = sarifSchema
	return report
}

// usedRules are the rules of the signatures that r names, by id.
func usedRules(r *v1alpha1.CheckResult, catalogue []Rule) []Rule {
	var out []Rule
	for _, p := range r.Problems {
		if slices.ContainsFunc(out, func(rule Rule) bool { return rule.ID == p.Signature }) {
			continue
		}
		i := slices.IndexFunc(catalogue, func(rule Rule) bool { return rule.ID == p.Signature })
		if i < 0 {
			out = append(out, Rule{ID: p.Signature, Severity: p.Severity})
			continue
		}
		out = append(out, catalogue[i])
	}
	slices.SortFunc(out, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func sarifRule(r Rule) *sarif.ReportingDescriptor {
	title := orElse(r.Title, r.ID)
	help := orElse(r.Explanation, title)
	return sarif.NewReportingDescriptor().WithID(sarifText(r.ID)).
		WithShortDescription(multiformat(title)).
		WithFullDescription(multiformat(help)).
		WithHelp(multiformat(help)).
		WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(sarifLevel(r.Severity)))
}

func multiformat(s string) *sarif.MultiformatMessageString {
	return sarif.NewMultiformatMessageString().WithText(sarifText(s))
}

func sarifLevel(s v1alpha1.Severity) string {
	switch s {
	case v1alpha1.SeverityCritical:
		return "error"
	case v1alpha1.SeverityWarning:
		return "warning"
	}
	return "note"
}

func (v *checkView) sarifResult(p v1alpha1.Problem, rule int) *sarif.Result {
	baseline := "unchanged"
	if p.Introduced {
		baseline = "new"
	}
	message := strings.Join(v.message(p), "\n")
	return sarif.NewResult().WithRuleID(sarifText(p.Signature)).WithRuleIndex(rule).
		WithLevel(sarifLevel(p.Severity)).
		WithBaselineState(baseline).
		WithMessage(sarif.NewMessage().WithText(sarifText(message))).
		AddLocation(v.sarifLocation(p)).
		WithProperties(problemProperties(p))
}

// sarifLocation is the file and line where there is one, and always the
// release, which a problem of no file is of.
func (v *checkView) sarifLocation(p v1alpha1.Problem) *sarif.Location {
	l := sarif.NewLocation()
	if p.Release != "" {
		name := line(p.Release)
		full := strings.TrimPrefix(path.Join(line(p.ClusterPath), name), "./")
		l.AddLogicalLocation(sarif.NewLogicalLocation().WithName(name).WithFullyQualifiedName(full).WithKind("resource"))
	}
	file, n := v.location(p)
	uri := fileURI(file)
	if uri == "" {
		return l
	}
	physical := sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewArtifactLocation().WithURI(uri).WithURIBaseID(sourceRoot))
	if n > 0 {
		physical.WithRegion(sarif.NewRegion().WithStartLine(n))
	}
	return l.WithPhysicalLocation(physical)
}

// fileURI is a path of the repository as a relative reference (RFC 3986), empty
// for one that leads out of it.
func fileURI(file string) string {
	clean := path.Clean(file)
	if file == "" || path.IsAbs(clean) || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") {
		return ""
	}
	return (&url.URL{Path: clean}).String()
}

// lineReference is the line in "values.yaml:52".
var lineReference = regexp.MustCompile(`(\.[A-Za-z]+):\d+\b`)

// identity tells problems apart from run to run. It holds no line, so that a
// problem stays the same when lines are added above it.
func identity(p v1alpha1.Problem) string {
	text, _ := json.Marshal([]string{
		p.Signature, p.Release, p.ClusterPath, p.Family, p.File, lineReference.ReplaceAllString(p.Summary, "$1"),
	})
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

func problemProperties(p v1alpha1.Problem) *sarif.PropertyBag {
	bag := sarif.NewPropertyBag().Add("introduced", p.Introduced).Add("severity", string(p.Severity))
	for key, value := range map[string]string{
		"confidence": string(p.Confidence), "release": p.Release, "clusterPath": p.ClusterPath,
		"family": p.Family, "advice": p.Advice,
	} {
		if value != "" {
			bag.Add(key, line(value))
		}
	}
	return bag
}

// invocation says that the check ran, and names what it did not know.
func invocation(r *v1alpha1.CheckResult) *sarif.Invocation {
	i := sarif.NewInvocation().WithExecutionSuccessful(true)
	for _, u := range r.Unknown {
		i.AddToolExecutionNotification(sarif.NewNotification().WithLevel("note").
			WithMessage(sarif.NewMessage().WithText(sarifText("not known: " + line(u)))))
	}
	return i
}

func runProperties(r *v1alpha1.CheckResult) *sarif.PropertyBag {
	bag := sarif.NewPropertyBag().Add("base", state(r.Base)).Add("head", state(r.Head))
	var repairs []string
	for _, rep := range r.Repairs {
		s := line(rep.Signature) + ": " + line(rep.Summary)
		if rep.MaskedBy != "" {
			s += " (only masked by " + line(rep.MaskedBy) + ")"
		}
		repairs = append(repairs, s)
	}
	if len(repairs) > 0 {
		bag.Add("repairs", repairs)
	}
	return bag
}

// sarifText escapes what SARIF's messages read as an embedded link (SARIF
// 2.1.0, 3.11.6); a message of ours has none.
func sarifText(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.ReplaceAll(visible(redact(l)), "](", `\](`)
	}
	return strings.Join(lines, "\n")
}

// pruned leaves out of a SARIF document what only states a default: empty lists
// and objects, and -1 for what is not known. The list of results stays, because
// a run without one says that nothing was looked for.
func pruned(text []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var doc any
	if err := decoder.Decode(&doc); err != nil {
		return nil, err
	}
	doc, _ = prune(doc)
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(doc)
	return b.Bytes(), err
}

// prune returns node without defaults; keep is false when nothing is left.
func prune(node any) (left any, keep bool) {
	switch n := node.(type) {
	case map[string]any:
		for key, child := range n {
			child, keep := prune(child)
			if n[key] = child; !keep && key != "results" && key != "rules" {
				delete(n, key)
			}
		}
		return n, len(n) > 0
	case []any:
		for i, child := range n {
			n[i], _ = prune(child)
		}
		return n, len(n) > 0
	case json.Number:
		return n, n != "-1"
	}
	return node, node != nil
}
