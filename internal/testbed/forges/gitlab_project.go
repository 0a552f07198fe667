package forges

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func (g *GitLabServer) getVersion(*labCall) reply {
	return ok(object{"version": "18.5.0", "revision": "abcdef01234"})
}

// getUser: the user of a token, also that of a project or a group.
func (g *GitLabServer) getUser(c *labCall) reply {
	u := g.showUser(c.who)
	u["created_at"], u["bot"], u["email"] = labTime(g.now()), c.who.login == gitlabBot, c.who.login+"@example.com"
	return ok(u)
}

// listUsers: docs.gitlab.com/api/users: a username is matched whole, in any
// case; an empty one filters nothing.
func (g *GitLabServer) listUsers(c *labCall) reply {
	name := c.query.Get("username")
	found := slices.DeleteFunc(slices.Clone(g.people), func(m *member) bool {
		return name != "" && !strings.EqualFold(m.login, name)
	})
	return labList(c, found, g.showUser)
}

func (g *GitLabServer) showUser(m *member) object {
	return object{
		"id": m.id, "username": m.login, "name": "The " + m.login, "state": "active", "locked": false,
		"avatar_url": nil, "web_url": g.web(m.login),
	}
}

// userOrNil is null for nobody.
func (g *GitLabServer) userOrNil(login string) any {
	if m := g.person(login); m != nil {
		return g.showUser(m)
	}
	return nil
}

// getProject: docs.gitlab.com/api/projects, "Retrieve a project". Permissions
// are those of direct members and of members of the groups above.
func (g *GitLabServer) getProject(c *labCall) reply {
	access := func(direct bool) any {
		if g.shared || direct != (c.who.login == gitlabBot) {
			return nil
		}
		return object{"access_level": c.who.role, "notification_level": 3}
	}
	full := g.fullName()
	return ok(object{
		"id": gitlabID, "name": g.name, "path": g.name, "path_with_namespace": full, "description": "",
		"name_with_namespace": strings.ReplaceAll(full, "/", " / "), "created_at": labTime(g.now()),
		"default_branch": g.branch, "archived": g.archived, "visibility": "private", "empty_repo": false,
		"web_url": g.web(full), "http_url_to_repo": g.web(full) + ".git", "ssh_url_to_repo": "git@gitlab.test:" + full + ".git",
		"merge_method": "merge", "permissions": object{"project_access": access(true), "group_access": access(false)},
		"namespace": object{
			"id": 77, "name": "clusters", "path": "clusters", "kind": "group", "full_path": gitlabOwner,
			"parent_id": 76, "web_url": g.web("groups", gitlabOwner),
		},
	})
}

// getMember: docs.gitlab.com/api/project_members: with those of groups, also of
// invited ones.
func (g *GitLabServer) getMember(c *labCall) reply {
	id, _ := strconv.Atoi(c.vars["user_id"])
	m := g.personByID(id)
	if m == nil || m.role == roleNone {
		return labNotFound("")
	}
	u := g.showUser(m)
	u["access_level"], u["created_at"], u["membership_state"] = m.role, labTime(g.now()), "active"
	return ok(u)
}

func (g *GitLabServer) listLabels(c *labCall) reply {
	return labList(c, g.labels, g.showLabel)
}

func (g *GitLabServer) showLabel(name string) object {
	return object{
		"id": 500 + slices.Index(g.labels, name), "name": name, "color": "#6699cc", "text_color": "#FFFFFF",
		"is_project_label": true, "subscribed": false,
	}
}

// createLabel: docs.gitlab.com/api/labels.
func (g *GitLabServer) createLabel(c *labCall) reply {
	var in struct{ Name string }
	if err := c.read(&in); err != nil {
		return gitlabProblem(http.StatusBadRequest, err.Error())
	}
	if slices.Contains(g.labels, in.Name) {
		return gitlabProblem(http.StatusConflict, "Label already exists")
	}
	g.labels = append(g.labels, in.Name)
	return created(g.showLabel(in.Name))
}

func (g *GitLabServer) showCommit(hash string) object {
	out, err := g.repo.git("show", "--no-patch", "--format=%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B", hash)
	if err != nil {
		g.t.Errorf("GitLab: %v", err)
		return object{}
	}
	f := strings.SplitN(out, "\x00", 8)
	title, _, _ := strings.Cut(f[7], "\n")
	return object{
		"id": hash, "short_id": hash[:8], "parent_ids": append([]string{}, strings.Fields(f[0])...), "title": title, "message": f[7],
		"author_name": f[1], "author_email": f[2], "authored_date": f[3],
		"committer_name": f[4], "committer_email": f[5], "committed_date": f[6], "created_at": f[6],
		"web_url": g.web(g.fullName(), "-", "commit", hash),
	}
}

func (g *GitLabServer) getCommit(c *labCall) reply {
	hash := g.repo.tip(c.vars["sha"])
	if hash == "" {
		return labNotFound("Commit")
	}
	return ok(g.showCommit(hash))
}

// compare: docs.gitlab.com/api/repositories: from the merge base, unless straight.
func (g *GitLabServer) compare(c *labCall) reply {
	from, to := g.repo.tip(branchRefs+c.query.Get("from")), g.repo.tip(branchRefs+c.query.Get("to"))
	if from == "" || to == "" {
		return labNotFound("Ref")
	}
	out, err := g.repo.git("rev-list", "--reverse", from+".."+to)
	if err != nil {
		g.t.Errorf("GitLab: %v", err)
	}
	commits := []object{}
	for _, hash := range strings.Fields(out) {
		commits = append(commits, g.showCommit(hash))
	}
	body := object{
		"commit": nil, "commits": commits, "diffs": g.diffs(from, to), "compare_timeout": false,
		"compare_same_ref": from == to, "web_url": g.web(g.fullName(), "-", "compare"),
	}
	if len(commits) > 0 {
		body["commit"] = commits[len(commits)-1]
	}
	return ok(body)
}

// diffs are the changes of head since it left base.
func (g *GitLabServer) diffs(base, head string) []object {
	out, err := g.repo.git("diff", "--raw", "-z", "--abbrev=40", base+"..."+head)
	if err != nil {
		g.t.Errorf("GitLab: %v", err)
	}
	all := []object{}
	parts := strings.Split(out, "\x00")
	for i := 0; i+1 < len(parts); i += 2 {
		// :OLDMODE NEWMODE OLDHASH NEWHASH STATUS
		f, path := strings.Fields(parts[i]), parts[i+1]
		diff, err := g.repo.git("diff", base+"..."+head, "--", path)
		if err != nil {
			g.t.Errorf("GitLab: %v", err)
		}
		if at := strings.Index(diff, "@@"); at >= 0 {
			diff = diff[at:]
		}
		all = append(all, object{
			"old_path": path, "new_path": path, "a_mode": strings.TrimPrefix(f[0], ":"), "b_mode": f[1], "diff": strings.ToValidUTF8(diff, ""),
			"new_file": f[4] == "A", "renamed_file": false, "deleted_file": f[4] == "D", "collapsed": false, "too_large": false,
		})
	}
	return all
}

// getFile: docs.gitlab.com/api/repository_files: a branch, tag or commit.
func (g *GitLabServer) getFile(c *labCall) reply {
	ref := c.query.Get("ref")
	if ref == "" {
		ref = g.branch
	}
	hash := g.repo.tip(ref)
	if hash == "" {
		return labNotFound("Commit")
	}
	content, err := g.repo.show(hash, c.vars["file_path"])
	if err != nil {
		return labNotFound("File")
	}
	h := http.Header{}
	h.Set("X-Gitlab-File-Path", fmt.Sprintf("%q", c.vars["file_path"]))
	h.Set("X-Gitlab-Commit-Id", hash)
	return reply{status: http.StatusOK, header: h, raw: append([]byte{}, content...), content: "text/plain"}
}
