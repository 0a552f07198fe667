package forges

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
)

func (g *GitHubServer) showRef(ref, hash string) object {
	return object{
		"ref": ref, "node_id": "REF_" + ref, "url": g.gitURL(strings.TrimPrefix(ref, "refs/"), ""),
		"object": object{"type": "commit", "sha": hash, "url": g.gitURL("commits", hash)},
	}
}

func unprocessable(message string) reply { return problem(http.StatusUnprocessableEntity, message) }

func (g *GitHubServer) getRef(c *call) reply {
	ref := "refs/" + c.vars["ref"]
	if hash := g.refAt(ref); hash != "" {
		return ok(g.showRef(ref, hash))
	}
	return notFound()
}

// refAt is the commit of a ref by its full name.
func (g *GitHubServer) refAt(ref string) string {
	hash, err := g.repo.git("show-ref", "--verify", "--hash", "--", ref)
	if err != nil {
		return ""
	}
	return hash
}

// createRef: "REST API endpoints for Git references".
func (g *GitHubServer) createRef(c *call) reply {
	var in struct{ Ref, SHA string }
	if err := c.read(&in); err != nil {
		return badJSON()
	}
	switch {
	case !strings.HasPrefix(in.Ref, "refs/") || strings.Count(in.Ref, "/") < 2:
		return unprocessable("Reference name must start with 'refs/' and have at least two slashes")
	case g.refAt(in.Ref) != "":
		return unprocessable("Reference already exists")
	case !g.isA("commit", in.SHA):
		return unprocessable("Object does not exist")
	case g.ruled(c.who, in.Ref):
		return ruleViolation("Cannot create ref due to creations being restricted.")
	}
	if err := g.repo.setRef(in.Ref, in.SHA, noHash); err != nil {
		return unprocessable("Reference update failed")
	}
	g.sync()
	return created(g.showRef(in.Ref, in.SHA))
}

func (g *GitHubServer) updateRef(c *call) reply {
	var in struct {
		SHA   string
		Force bool
	}
	if err := c.read(&in); err != nil {
		return badJSON()
	}
	ref := "refs/" + c.vars["ref"]
	now := g.refAt(ref)
	switch {
	case now == "":
		return unprocessable("Reference does not exist")
	case !g.isA("commit", in.SHA):
		return unprocessable("Object does not exist")
	case g.ruled(c.who, ref):
		return ruleViolation("Changes must be made through a pull request.")
	case !in.Force && !g.repo.contains(in.SHA, now):
		return unprocessable("Update is not a fast forward")
	}
	if err := g.repo.setRef(ref, in.SHA, now); err != nil {
		return unprocessable("Reference update failed")
	}
	g.sync()
	return ok(g.showRef(ref, in.SHA))
}

func (g *GitHubServer) deleteRef(c *call) reply {
	ref := "refs/" + c.vars["ref"]
	now := g.refAt(ref)
	switch {
	case now == "":
		return unprocessable("Reference does not exist")
	case g.ruled(c.who, ref):
		return ruleViolation("Cannot delete this branch")
	}
	if _, err := g.repo.git("update-ref", "-d", ref, now); err != nil {
		return unprocessable("Reference update failed")
	}
	g.sync()
	return reply{status: http.StatusNoContent}
}

// ruled says that a rule forbids who to change the ref; admins may.
func (g *GitHubServer) ruled(who *person, ref string) bool {
	return who.role != "admin" && slices.ContainsFunc(g.protected, func(pattern string) bool {
		fits, err := path.Match(branchRefs+pattern, ref)
		return err == nil && fits
	})
}

// ruleViolation: "Troubleshooting rules".
func ruleViolation(why string) reply {
	return unprocessable("Repository rule violations found\n\n" + why + "\n\n")
}

func (g *GitHubServer) showBranch(ref string, hash string) object {
	return object{
		"name": strings.TrimPrefix(ref, branchRefs), "commit": object{"sha": hash, "url": g.gitURL("commits", hash)},
		"protected": g.ruled(&person{}, ref),
	}
}

func (g *GitHubServer) listBranches(c *call) reply {
	refs, err := g.repo.refs(branchRefs)
	if err != nil {
		g.t.Errorf("GitHub: %v", err)
	}
	return list(g, c, slices.Sorted(maps.Keys(refs)), func(ref string) object { return g.showBranch(ref, refs[ref]) })
}

func (g *GitHubServer) getBranch(c *call) reply {
	ref := branchRefs + c.vars["branch"]
	hash := g.refAt(ref)
	if hash == "" {
		return problem(http.StatusNotFound, "Branch not found")
	}
	o := g.showBranch(ref, hash)
	o["commit"] = g.showRepoCommit(hash)
	return ok(o)
}

// getProtection: "REST API endpoints for protected branches".
func (g *GitHubServer) getProtection(c *call) reply {
	ref := branchRefs + c.vars["branch"]
	switch {
	case g.refAt(ref) == "":
		return problem(http.StatusNotFound, "Branch not found")
	case !g.ruled(&person{}, ref):
		return problem(http.StatusNotFound, "Branch not protected")
	}
	return ok(object{"url": "", "enforce_admins": object{"url": "", "enabled": false}})
}

// getRules: "REST API endpoints for rules": the rules that are active for a
// branch, which need not exist.
func (g *GitHubServer) getRules(c *call) reply {
	rules := []object{}
	if g.ruled(&person{}, branchRefs+c.vars["branch"]) {
		rules = append(rules, object{
			"type": "update", "ruleset_source_type": "Repository", "ruleset_source": g.fullName(), "ruleset_id": 1,
		})
	}
	return ok(rules)
}

// mergeBranches: "REST API endpoints for branches", Merge a branch.
func (g *GitHubServer) mergeBranches(c *call) reply {
	var in struct {
		Base, Head string
		Message    string `json:"commit_message"`
	}
	if err := c.read(&in); err != nil {
		return badJSON()
	}
	base, head := g.refAt(branchRefs+in.Base), g.repo.tip(in.Head)
	switch {
	case base == "":
		return problem(http.StatusNotFound, "Base does not exist")
	case head == "":
		return problem(http.StatusNotFound, "Head does not exist")
	case g.repo.contains(base, head):
		return reply{status: http.StatusNoContent}
	}
	tree, fine := g.repo.merge(base, head)
	if !fine {
		return problem(http.StatusConflict, "Merge conflict")
	}
	if in.Message == "" {
		in.Message = fmt.Sprintf("Merge %s into %s", in.Head, in.Base)
	}
	hash := g.commit(tree, []string{base, head}, in.Message, c.who.login)
	if err := g.repo.setRef(branchRefs+in.Base, hash, base); err != nil {
		return problem(http.StatusConflict, "Merge conflict")
	}
	g.sync()
	return created(g.showRepoCommit(hash))
}
