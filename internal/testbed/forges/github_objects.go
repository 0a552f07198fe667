package forges

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// changes are the files of a pull request: path and status by git's letter.
func (g *GitHubServer) changes(p *pull) ([][2]string, error) {
	out, err := g.repo.git("diff", "--name-status", "--no-renames", "-z", p.baseSHA+"..."+p.head)
	if err != nil {
		return nil, err
	}
	var files [][2]string
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		files = append(files, [2]string{fields[i+1], fields[i]})
	}
	return files, nil
}

func (g *GitHubServer) listFiles(c *call) reply {
	p := g.pull(c)
	if p == nil {
		return notFound()
	}
	files, err := g.changes(p)
	if err != nil {
		g.t.Errorf("GitHub: %v", err)
	}
	return list(g, c, files, func(f [2]string) object {
		status := map[string]string{"A": "added", "D": "removed"}[f[1]]
		if status == "" {
			status = "modified"
		}
		sha, _ := g.repo.git("rev-parse", "--quiet", "--verify", p.head+":"+f[0])
		return object{"filename": f[0], "status": status, "sha": orNull(sha)}
	})
}

func (g *GitHubServer) listPullCommits(c *call) reply {
	p := g.pull(c)
	if p == nil {
		return notFound()
	}
	out, err := g.repo.git("rev-list", "--reverse", p.head, "--not", p.baseSHA)
	if err != nil {
		g.t.Errorf("GitHub: %v", err)
	}
	return list(g, c, strings.Fields(out), g.showRepoCommit)
}

func (g *GitHubServer) getCommitOfRef(c *call) reply {
	hash := g.repo.tip(c.vars["ref"])
	if hash == "" {
		return problem(http.StatusUnprocessableEntity, "No commit found for SHA: "+c.vars["ref"])
	}
	return ok(g.showRepoCommit(hash))
}

// showRepoCommit is a commit as the repository's history shows it.
func (g *GitHubServer) showRepoCommit(hash string) object {
	o := g.showGitCommit(hash)
	return object{
		"sha": hash, "commit": object{
			"message": o["message"], "tree": o["tree"], "author": o["author"], "committer": o["committer"],
			"verification": o["verification"],
		}, "parents": o["parents"],
		"author": g.showOwnerOf(o["author"].(object)), "committer": g.showOwnerOf(o["committer"].(object)),
	}
}

// githubWebFlow is the account that GitHub itself commits as.
var githubWebFlow = identity{"GitHub", "noreply@github.com"}

// showOwnerOf is the account that an address belongs to, or null.
func (g *GitHubServer) showOwnerOf(who object) any {
	if who["email"] == githubWebFlow.email {
		return object{
			"login": "web-flow", "id": 19864447, "node_id": "U_web-flow", "type": "User",
			"url": g.API() + "/users/web-flow", "html_url": g.base + "/web-flow", "site_admin": false,
		}
	}
	for login := range g.people {
		if who["email"] == g.identity(login).email {
			return g.showUser(login)
		}
	}
	return nil
}

// showGitCommit is a commit of the Git database.
func (g *GitHubServer) showGitCommit(hash string) object {
	out, err := g.repo.run([]string{"TZ=UTC"}, nil, "show", "--no-patch", "--date=format-local:%Y-%m-%dT%H:%M:%SZ",
		"--format=%T%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%B", hash)
	f := strings.SplitN(out, "\x00", 9)
	if err != nil || len(f) != 9 {
		g.t.Errorf("GitHub: commit %s: %v", hash, err)
		return object{}
	}
	parents := []object{}
	for _, p := range strings.Fields(f[1]) {
		parents = append(parents, object{"sha": p, "url": g.gitURL("commits", p), "html_url": ""})
	}
	verification := object{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil}
	if g.verified[hash] {
		verification = object{"verified": true, "reason": "valid", "signature": githubSignature, "payload": "", "verified_at": f[7]}
	}
	return object{
		"sha": hash, "url": g.gitURL("commits", hash), "message": strings.TrimSuffix(f[8], "\n"),
		"tree": object{"sha": f[0], "url": g.gitURL("trees", f[0])}, "parents": parents,
		"author":       object{"name": f[2], "email": f[3], "date": f[4]},
		"committer":    object{"name": f[5], "email": f[6], "date": f[7]},
		"verification": verification,
	}
}

func (g *GitHubServer) gitURL(kind, hash string) string {
	return fmt.Sprintf("%s/repos/%s/git/%s/%s", g.API(), g.fullName(), kind, hash)
}

// isA says that hash is an object of that type.
func (g *GitHubServer) isA(kind, hash string) bool {
	out, err := g.repo.git("cat-file", "-t", hash)
	return err == nil && out == kind && len(hash) == 40
}

func (g *GitHubServer) getGitCommit(c *call) reply {
	if !g.isA("commit", c.vars["commit_sha"]) {
		return notFound()
	}
	return ok(g.showGitCommit(c.vars["commit_sha"]))
}

// createCommit: "REST API endpoints for Git commits". The author is the caller
// when none is given, the committer is the author. GitHub signs, and commits in
// its own name, what a bot makes without author, committer and signature: "About commit signature
// verification", signature verification for bots.
func (g *GitHubServer) createCommit(c *call) reply {
	var in struct {
		Message, Tree, Signature string
		Parents                  []string
		Author, Committer        *struct{ Name, Email, Date string }
	}
	if err := c.read(&in); err != nil {
		return badJSON()
	}
	if !g.isA("tree", in.Tree) {
		return problem(http.StatusUnprocessableEntity, "Tree SHA does not exist")
	}
	var text strings.Builder
	fmt.Fprintf(&text, "tree %s\n", in.Tree)
	for _, p := range in.Parents {
		if !g.isA("commit", p) {
			return problem(http.StatusUnprocessableEntity, "Parent SHA does not exist or is not a commit object")
		}
		fmt.Fprintf(&text, "parent %s\n", p)
	}
	author, when := g.identity(c.who.login), g.now()
	if in.Author != nil {
		author = identity{in.Author.Name, in.Author.Email}
		if t, err := time.Parse(time.RFC3339, in.Author.Date); err == nil {
			when = t
		}
	}
	signed := c.who.kind == "Bot" && in.Author == nil && in.Committer == nil && in.Signature == ""
	committer := author
	if signed {
		committer = githubWebFlow
	}
	if in.Committer != nil {
		committer = identity{in.Committer.Name, in.Committer.Email}
	}
	fmt.Fprintf(&text, "author %s <%s> %d +0000\n", author.name, author.email, when.Unix())
	fmt.Fprintf(&text, "committer %s <%s> %d +0000\n", committer.name, committer.email, when.Unix())
	if signed {
		fmt.Fprintf(&text, "gpgsig %s\n", strings.ReplaceAll(githubSignature, "\n", "\n "))
	}
	fmt.Fprintf(&text, "\n%s", in.Message)
	hash, err := g.repo.run(nil, []byte(text.String()), "hash-object", "-t", "commit", "-w", "--stdin")
	if err != nil {
		return problem(http.StatusUnprocessableEntity, "Invalid commit info")
	}
	g.verified[hash] = signed
	return created(g.showGitCommit(hash))
}

// githubSignature stands for the one that GitHub's own key makes.
const githubSignature = "-----BEGIN PGP SIGNATURE-----\n\nwsBcBAABCAAQBQJfake\n-----END PGP SIGNATURE-----"

func (g *GitHubServer) getTree(c *call) reply {
	hash, err := g.repo.git("rev-parse", "--quiet", "--verify", "--end-of-options", c.vars["tree_sha"]+"^{tree}")
	if err != nil {
		return notFound()
	}
	return ok(g.showTree(hash, c.query.Has("recursive")))
}

func (g *GitHubServer) showTree(hash string, recursive bool) object {
	args := []string{"ls-tree", "-z", "-l", hash}
	if recursive {
		args = []string{"ls-tree", "-z", "-l", "-r", "-t", hash}
	}
	out, err := g.repo.git(args...)
	if err != nil {
		g.t.Errorf("GitHub: %v", err)
	}
	entries := []object{}
	for line := range strings.SplitSeq(out, "\x00") {
		meta, name, found := strings.Cut(line, "\t")
		f := strings.Fields(meta)
		if !found || len(f) != 4 {
			continue
		}
		e := object{"mode": f[0], "type": f[1], "sha": f[2], "path": name, "url": g.gitURL(f[1]+"s", f[2])}
		if size, err := strconv.Atoi(f[3]); err == nil {
			e["size"] = size
		}
		entries = append(entries, e)
	}
	return object{"sha": hash, "url": g.gitURL("trees", hash), "tree": entries, "truncated": false}
}

// createTree: "REST API endpoints for Git trees": entries over base_tree, content
// or sha, null to delete.
func (g *GitHubServer) createTree(c *call) reply {
	var in struct {
		Base string `json:"base_tree"`
		Tree []struct {
			Path, Mode, Type string
			SHA, Content     *string
		}
	}
	if err := c.read(&in); err != nil {
		return badJSON()
	}
	if in.Base != "" && !g.isA("tree", in.Base) && !g.isA("commit", in.Base) {
		return problem(http.StatusUnprocessableEntity, "base_tree is not a valid tree oid")
	}
	changes := map[string]change{}
	for _, e := range in.Tree {
		switch {
		case e.Content != nil:
			blob, err := g.repo.blob([]byte(*e.Content))
			if err != nil {
				return problem(http.StatusUnprocessableEntity, "Invalid tree info")
			}
			changes[e.Path] = change{e.Mode, blob}
		case e.SHA == nil:
			changes[e.Path] = change{}
		case !g.isA("blob", *e.SHA):
			return problem(http.StatusUnprocessableEntity, fmt.Sprintf("tree.sha %s is not a valid blob", *e.SHA))
		default:
			changes[e.Path] = change{e.Mode, *e.SHA}
		}
	}
	hash, err := g.repo.tree(in.Base, changes)
	if err != nil || len(in.Tree) == 0 {
		return problem(http.StatusUnprocessableEntity, "Invalid tree info")
	}
	return created(g.showTree(hash, false))
}

func (g *GitHubServer) createBlob(c *call) reply {
	var in struct{ Content, Encoding string }
	if err := c.read(&in); err != nil {
		return badJSON()
	}
	content := []byte(in.Content)
	if in.Encoding == "base64" {
		decoded, err := base64.StdEncoding.DecodeString(in.Content)
		if err != nil {
			return problem(http.StatusUnprocessableEntity, "content is not valid Base64")
		}
		content = decoded
	}
	hash, err := g.repo.blob(content)
	if err != nil {
		g.t.Errorf("GitHub: %v", err)
	}
	return created(object{"sha": hash, "url": g.gitURL("blobs", hash)})
}

func (g *GitHubServer) getBlob(c *call) reply {
	hash := c.vars["file_sha"]
	if !g.isA("blob", hash) {
		return notFound()
	}
	content, err := g.repo.cat(hash)
	if err != nil {
		g.t.Errorf("GitHub: %v", err)
	}
	return ok(object{
		"sha": hash, "url": g.gitURL("blobs", hash), "size": len(content), "encoding": "base64",
		"content": base64.StdEncoding.EncodeToString(content),
	})
}

// maxContent is the size, in bytes, up to which contents are shown: "REST API
// endpoints for repository contents".
const maxContent = 1 << 20

// getContents: a file, or what a folder holds.
func (g *GitHubServer) getContents(c *call) reply {
	ref := c.query.Get("ref")
	if ref == "" {
		ref = g.branch
	}
	hash := g.repo.tip(ref)
	if hash == "" {
		return problem(http.StatusNotFound, "No commit found for the ref "+ref)
	}
	at := strings.Trim(c.vars["path"], "/")
	hashed, err := g.repo.git("rev-parse", "--quiet", "--verify", "--end-of-options", hash+":"+at)
	if err != nil {
		return notFound()
	}
	if g.isA("tree", hashed) {
		return g.listContents(c, hashed, at)
	}
	content, err := g.repo.cat(hashed)
	if err != nil {
		g.t.Errorf("GitHub: %v", err)
	}
	if strings.Contains(c.accept, "raw") {
		return reply{status: http.StatusOK, raw: content, content: "application/vnd.github.raw; charset=utf-8"}
	}
	entry := g.showContent(at, hashed, "file", len(content))
	entry["encoding"], entry["content"] = "base64", base64.StdEncoding.EncodeToString(content)
	if len(content) > maxContent {
		entry["encoding"], entry["content"] = "none", ""
	}
	return ok(entry)
}

func (g *GitHubServer) showContent(at, hash, kind string, size int) object {
	return object{
		"type": kind, "path": at, "name": path.Base(at), "sha": hash, "size": size,
		"url": fmt.Sprintf("%s/repos/%s/contents/%s", g.API(), g.fullName(), at), "git_url": nil, "html_url": nil, "download_url": nil,
		"_links": object{"git": nil, "html": nil, "self": ""},
	}
}

func (g *GitHubServer) listContents(c *call, tree, at string) reply {
	var entries []struct {
		Path, Type, SHA string
		Size            int
	}
	raw, err := json.Marshal(g.showTree(tree, false)["tree"])
	if err == nil {
		err = json.Unmarshal(raw, &entries)
	}
	if err != nil {
		g.t.Errorf("GitHub: %v", err)
	}
	body := []object{}
	for _, e := range entries {
		kind := map[string]string{"tree": "dir", "blob": "file", "commit": "submodule"}[e.Type]
		body = append(body, g.showContent(strings.TrimPrefix(at+"/"+e.Path, "/"), e.SHA, kind, e.Size))
	}
	return ok(body)
}
