package source

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// sourceFiles are the files that Flux reads values from, for any release of
// the repository: what names one of them reads the same source.
func (r *Release) sourceFiles() map[string]bool {
	out := map[string]bool{}
	for _, p := range r.family() {
		out[p.File] = true
		for _, s := range p.at.parts {
			if s.File != "" {
				out[s.File] = true
			}
		}
	}
	for _, d := range r.at.ix.releases {
		out[d.file] = true
	}
	return out
}

// generates: a kustomization beside or just above a values file makes a ConfigMap
// or Secret of it, so it is a source for Flux, of whichever cluster.
func (r *Release) generates(l layer) bool {
	const above = 3
	dir := path.Dir(l.file)
	for range above {
		if l.whole && r.at.g.kfile(dir) != "" && slices.Contains(r.at.g.unit(dir).reads, l.file) {
			return true
		}
		dir = path.Dir(dir)
	}
	return false
}

// snapshots are the folders that the settings name as snapshots of a cluster.
func (r *Release) snapshots() ([]string, error) {
	s, err := ReadSettings(r.at.opts.Root, r.at.opts.Files)
	if err != nil {
		return nil, err
	}
	dirs := []string{s.Snapshot.Value}
	for _, scopes := range []map[string]Scope{s.Releases, s.Clusters} {
		for _, name := range sortedKeys(scopes) {
			dirs = append(dirs, scopes[name].Snapshot.Value)
		}
	}
	return slices.DeleteFunc(dirs, func(d string) bool { return d == "" }), nil
}

// below reports whether a file lies in one of the directories.
func below(dirs []string, file string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return strings.HasPrefix(file, d+"/") })
}

// family is the release with the others of the repository.
func (r *Release) family() []*Release {
	if slices.Contains(r.at.peers, r) {
		return r.at.peers
	}
	return append([]*Release{r}, r.at.peers...)
}

// applies: the layer is part of what Flux itself applies, so it is live and no
// copy.
func (r *Release) applies(l layer) bool {
	if len(l.blocks) > 0 || !l.flags {
		return false
	}
	return slices.ContainsFunc(r.at.all, func(k *flux) bool { return k.live && r.reads(k, l.file) })
}

// claims says whether a copy belongs to this release, and notes where that is
// not decided. The release's own directories decide: the nearer, the likelier.
func (r *Release) claims(c *Copy) bool {
	if c.otherCluster(r) {
		return false
	}
	mine := r.nearness(c)
	var rivals []string
	for _, p := range r.family() {
		if p == r || c.otherCluster(p) {
			continue
		}
		switch theirs := p.nearness(c); {
		case theirs > mine:
			return false
		case theirs == mine:
			rivals = append(rivals, p.label())
		}
	}
	if len(rivals) == 0 {
		return true
	}
	slices.Sort(rivals)
	c.Undecided = strings.Join(slices.Compact(rivals), ", ")
	c.Why = firstOf(c.Why, fmt.Sprintf("it may as well be that of %s", c.Undecided))
	return true
}

func (r *Release) label() string {
	name := r.Namespace + "/" + r.Name
	if p := r.at.eff.path; p != "" && p != "." {
		name += " (" + p + ")"
	}
	return name
}

// otherCluster: the copy and the release both name their cluster, differently.
func (c *Copy) otherCluster(r *Release) bool {
	key := []string{"cluster", "name"}
	if c.Flags {
		key = []string{"cluster-name"}
	}
	copied, ok := valueAt(c.Values, key)
	mine, both := valueAt(r.Values, []string{"cluster", "name"})
	unclear := strings.ContainsAny(fmt.Sprint(copied), "{$")
	return ok && both && !unclear && fmt.Sprint(copied) != fmt.Sprint(mine)
}

// nearness counts the leading directories that the copy shares with what makes
// the release, then the directory names that tell the release from the others.
func (r *Release) nearness(c *Copy) int {
	const most = 64
	best := 0
	for _, a := range r.anchors() {
		best = max(best, min(commonDirs(path.Dir(c.File), a), most-1))
	}
	own := r.ownNames()
	words := 0
	for _, s := range strings.Split(path.Dir(c.File), "/") {
		if own[s] {
			words++
		}
	}
	return best*most + min(words, most-1)
}

// anchors are the directories that the release is made of.
func (r *Release) anchors() []string {
	dirs := []string{path.Dir(r.File)}
	for _, p := range r.at.parts {
		if p.File != "" {
			dirs = append(dirs, path.Dir(p.File))
		}
	}
	for _, k := range r.at.eff.lineage() {
		dirs = append(dirs, k.path)
		if k.doc.file != "" {
			dirs = append(dirs, path.Dir(k.doc.file))
		}
	}
	return dirs
}

// ownNames are the directory names that only this release has.
func (r *Release) ownNames() map[string]bool {
	own := map[string]bool{}
	for _, d := range r.anchors() {
		for _, s := range strings.Split(d, "/") {
			own[s] = true
		}
	}
	for _, p := range r.family() {
		if p == r {
			continue
		}
		for _, d := range p.anchors() {
			for _, s := range strings.Split(d, "/") {
				delete(own, s)
			}
		}
	}
	return own
}

func commonDirs(a, b string) int {
	n := 0
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	for n < len(as) && n < len(bs) && as[n] == bs[n] && as[n] != "." {
		n++
	}
	return n
}
