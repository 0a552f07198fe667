package source

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ErrNoRelease says that no HelmRelease of the chart cilium was found.
var ErrNoRelease = errors.New("no HelmRelease with chart cilium")

// ErrSeveral says that more than one release fits the options.
var ErrSeveral = errors.New("several HelmReleases with chart cilium")

// ErrNotOurs says that Cilium is configured by something other than Flux.
var ErrNotOurs = errors.New("not managed by a Flux HelmRelease")

// ErrTooLarge says that a file that is needed exceeds [Options.MaxFileBytes].
var ErrTooLarge = errors.New("file too large")

// ErrOutside says that a path or a symbolic link leaves the repository.
var ErrOutside = errors.New("leads out of the repository")

// ErrNotWritable says that a value cannot be changed by editing a file of this
// repository.
var ErrNotWritable = errors.New("not writable")

// SeveralError lists the releases among which the caller has to choose. It
// matches [ErrSeveral].
type SeveralError struct{ Releases []*Release }

// Error names each release with its file and the flags that choose one.
func (e *SeveralError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: choose one with --release NAMESPACE/NAME, or a cluster with --cluster-path PATH:", ErrSeveral)
	for _, r := range e.Releases {
		fmt.Fprintf(&b, "\n  %s/%s in %s:%d", r.Namespace, r.Name, r.File, r.Line)
		if len(r.Kustomizations) > 0 {
			fmt.Fprintf(&b, ", applied by %s", strings.Join(r.Kustomizations, ", "))
		}
		if e.needsPath(r) {
			fmt.Fprintf(&b, ", --cluster-path %s", r.ClusterPath())
		}
	}
	return b.String()
}

// needsPath: only the cluster path tells a release from another one of the list.
func (e *SeveralError) needsPath(r *Release) bool {
	return slices.ContainsFunc(e.Releases, func(o *Release) bool {
		return o != r && o.Namespace == r.Namespace && o.Name == r.Name && o.File == r.File && slices.Equal(o.Kustomizations, r.Kustomizations) && r.ClusterPath() != o.ClusterPath()
	}) || len(r.Kustomizations) > 0 && r.at.eff.lineage()[0].doc.file == ""
}

// Is reports whether target is [ErrSeveral].
func (e *SeveralError) Is(target error) bool { return target == ErrSeveral }

var yamlErrorLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): (.*)$`)

// atLine rewrites a YAML library's error so that it starts with file:line.
// The library counts lines from the start of the stream.
func atLine(file string, err error) error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlErrorLine.FindStringSubmatch(strings.ReplaceAll(msg, "\n", " ")); m != nil {
		return fmt.Errorf("%s:%s: %s", file, m[1], m[2])
	}
	return fmt.Errorf("%s: %s", file, msg)
}
