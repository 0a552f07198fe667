package source

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// none explains why nothing was found.
func (s *search) none() error {
	if len(s.passed) > 0 {
		var have []string
		for _, r := range s.passed {
			have = append(have, fmt.Sprintf("%s/%s in %s:%d", r.Namespace, r.Name, r.File, r.Line))
		}
		have = slices.Compact(have)
		return fmt.Errorf("%w fits --release %q and --cluster-path %q; there is %s", ErrNoRelease, s.opts.Release, s.opts.ClusterPath, strings.Join(have, ", "))
	}
	if s.t.isFile("HEAD") && s.t.isDir("objects") && s.t.isDir("refs") {
		return fmt.Errorf("%w under %s: it is a bare repository, without files: clone it and give the clone with --repo", ErrNoRelease, s.opts.Root)
	}
	if err := s.ix.brokenRelease(s.t); err != nil {
		return fmt.Errorf("a file that mentions a Cilium HelmRelease cannot be read: %w", err)
	}
	hints := slices.Concat(s.generatedHints(), s.ix.foreign, s.unchecked(), s.unreadRemotes())
	err := s.unlisted()
	if err == nil {
		err = s.otherTool()
	}
	if err == nil {
		err = fmt.Errorf("%w under %s: remediate needs a HelmRelease whose chart is cilium (spec.chart or spec.chartRef) in the checkout; give its directory with --repo", ErrNoRelease, s.opts.Root)
	}
	const shown = 5
	if len(hints) > shown {
		hints = append(hints[:shown:shown], fmt.Sprintf("and %d more like these", len(hints)-shown))
	}
	if len(hints) == 0 {
		return err
	}
	return fmt.Errorf("%w. It may come from elsewhere: %s", err, strings.Join(hints, "; "))
}

// unchecked names the submodules that were not checked out.
func (s *search) unchecked() []string {
	var out []string
	for _, sub := range s.t.submodules {
		if err := s.t.absent(sub); err != nil {
			out = append(out, fmt.Sprintf("%s %v", sub, err))
		}
	}
	return out
}

// tool is another way to configure Cilium, and what to do about it.
type tool struct {
	// names are extensions with a dot, or whole base names, in lower case.
	names []string
	// mentions must occur in the file, unless its path names Cilium and sure is
	// set.
	mentions *regexp.Regexp
	sure     bool
	text     string
}

var (
	anyCilium = regexp.MustCompile(`(?i)cilium`)
	// moreThanLabel leaves out labels and annotations, as in lbipam.cilium.io/ips.
	moreThanLabel = regexp.MustCompile(`(?i)helm\.cilium\.io|cilium(?:[^.]|\.[^i]|$)`)
)

// tools are in order: the first that fits is named.
func tools() []tool {
	return []tool{
		{[]string{".tf", ".tofu"}, moreThanLabel, true, "configures Cilium in Terraform; state the network's facts in .remediate.yaml and keep the values in a HelmRelease"},
		{[]string{".cue"}, anyCilium, true, "generates the manifests with CUE; run remediate on the generated repository"},
		{[]string{".k"}, anyCilium, true, "generates the manifests with KCL; run remediate on the generated repository"},
		{[]string{".nix"}, anyCilium, true, "generates the manifests with Nix; run remediate on the generated repository"},
		{[]string{".jsonnet", ".libsonnet"}, anyCilium, true, "generates the manifests with Jsonnet; run remediate on the generated repository"},
		{[]string{".j2", ".jinja", ".jinja2", ".tmpl", ".gotmpl", ".tpl"}, anyCilium, true, "is a template; render it and run remediate on the rendered repository"},
		{[]string{".sh", ".bash", ".ps1", "makefile", "justfile", ".just", "taskfile.yaml", "taskfile.yml"},
			regexp.MustCompile(`helm3?\s[^\n]*\b(?:install|upgrade|template)\b[^\n]*cilium|cilium\s+(?:install|upgrade)\b`), false,
			"installs Cilium with a command; remediate changes values that a Flux HelmRelease applies: take the command's values to one"},
		{[]string{"chart.yaml"}, regexp.MustCompile(`(?m)^dependencies:[\s\S]*^\s*-?\s*name:\s*["']?cilium["']?\s*$`), false,
			"wraps the chart in one of its own, whose values lie one level deeper; take them to a HelmRelease of the chart cilium itself"},
		{[]string{".yaml", ".yml"}, regexp.MustCompile(`helm\.cattle\.io/v1[\s\S]*cilium`), false,
			"is a HelmChart of k3s or RKE2, which their own controller installs; remediate changes values that a Flux HelmRelease applies: take the values to one"},
		{[]string{"kustomization.yaml", "kustomization.yml"}, regexp.MustCompile(`(?m)^helmCharts:[\s\S]*cilium`), false,
			"inflates the chart with kustomize's helmCharts, which Flux does not do; take the values to a HelmRelease"},
		{[]string{".yaml", ".yml"}, regexp.MustCompile(`(?m)^kind: DaemonSet[\s\S]*^  name: cilium\s*$`), false,
			"is a rendered manifest of Cilium, which is never edited; run remediate where its values are, in a HelmRelease"},
	}
}

const (
	// maxOtherFiles and maxOtherBytes bound what is read to name another tool.
	maxOtherFiles = 5000
	maxOtherBytes = 256 << 10
)

// otherTool names what else seems to configure Cilium here, or is nil.
func (s *search) otherTool() error {
	for _, f := range s.ix.argo {
		if kind, line := s.t.argo(f); kind != "" {
			return fmt.Errorf("%w: %s:%d is an Argo CD %s; remediate reads Flux repositories only: take the values to a HelmRelease, or give a snapshot of the cluster", ErrNotOurs, f, line, kind)
		}
	}
	list := tools()
	found := make([]string, len(list))
	looked := 0
	for _, f := range s.t.disk.names {
		for i, o := range list {
			if found[i] != "" || !o.named(f) || looked >= maxOtherFiles {
				continue
			}
			looked++
			if o.fits(s.t, f) {
				found[i] = f
			}
		}
	}
	if err := verdict(list, found, true); err != nil {
		return err
	}
	if len(s.ix.helmfile) > 0 {
		return fmt.Errorf("%w: %s installs Cilium with helmfile; remediate changes values that a Flux HelmRelease applies", ErrNotOurs, s.ix.helmfile[0])
	}
	return verdict(list, found, false)
}

func verdict(list []tool, found []string, sure bool) error {
	for i, o := range list {
		if found[i] != "" && o.sure == sure {
			return fmt.Errorf("%w: %s %s", ErrNotOurs, found[i], o.text)
		}
	}
	return nil
}

func (o tool) named(f string) bool {
	base := strings.ToLower(path.Base(f))
	if strings.HasPrefix(base, "readme") {
		return false
	}
	return slices.Contains(o.names, base) || slices.Contains(o.names, path.Ext(base))
}

func (o tool) fits(t *tree, f string) bool {
	if o.sure && anyCilium.MatchString(f) {
		return true
	}
	src, err := t.read(f)
	return err == nil && len(src) <= maxOtherBytes && bytes.Contains(bytes.ToLower(src), []byte("cilium")) && o.mentions.Match(src)
}
