package forges

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// bare is a bare repository that real git works on. It is what a forge's fake
// stands on, so that commits, merges and refusals are Git's own.
type bare struct {
	dir string
	// home holds no configuration.
	home string
}

// identity is who makes a commit.
type identity struct{ name, email string }

// newBare makes root/NAME.git with a first commit of files on branch.
func newBare(root, name, branch string, files map[string][]byte) (*bare, error) {
	b := &bare{dir: filepath.Join(root, name+".git"), home: root}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return nil, err
	}
	if _, err := b.git("init", "--quiet", "--bare", "--template=", "-b", branch, "."); err != nil {
		return nil, err
	}
	if err := b.configure(); err != nil {
		return nil, err
	}
	_, err := b.commitTo("refs/heads/"+branch, "", files, "first commit", identity{"The admin", "admin@example.com"})
	return b, err
}

// bareConfig: commits of forks live below refs/forks, as on a forge that shares
// objects, and nobody is shown them.
const bareConfig = `
[http]
	receivepack = true
[uploadpack]
	allowReachableSHA1InWant = true
	allowFilter = true
[transfer]
	hideRefs = ` + forkRefs + `
[gc]
	auto = 0
[receive]
	autogc = false
`

func (b *bare) configure() error {
	f, err := os.OpenFile(filepath.Join(b.dir, "config"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(bareConfig)
	return errors.Join(err, f.Close(), os.MkdirAll(filepath.Join(b.dir, "hooks"), 0o755))
}

const (
	branchRefs = "refs/heads/"
	forkRefs   = "refs/forks/"
)

// git runs one command and gives what it printed, without the last line's end.
func (b *bare) git(args ...string) (string, error) { return b.run(nil, nil, args...) }

func (b *bare) run(env []string, stdin []byte, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = b.dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.home, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
	}, env...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSuffix(stdout.String(), "\n"), nil
}

// refs are the commits by full name, of those that begin with prefix.
func (b *bare) refs(prefix string) (map[string]string, error) {
	out, err := b.git("for-each-ref", "--format=%(refname) %(objectname)", prefix)
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(out) {
		name, hash, _ := strings.Cut(strings.TrimSpace(line), " ")
		refs[name] = hash
	}
	return refs, nil
}

// tip is the object at a ref or another name of one; empty when there is none.
func (b *bare) tip(rev string) string {
	out, err := b.git("rev-parse", "--quiet", "--verify", "--end-of-options", rev+"^{commit}")
	if err != nil {
		return ""
	}
	return out
}

// contains says that commit can be reached from tip.
func (b *bare) contains(tip, commit string) bool {
	_, err := b.git("merge-base", "--is-ancestor", commit, tip)
	return err == nil
}

// setRef points a ref to a commit if it is at old now: zeros when it must not exist,
// empty when that does not matter.
func (b *bare) setRef(ref, hash, old string) error {
	args := []string{"update-ref", ref, hash}
	if old != "" {
		args = append(args, old)
	}
	_, err := b.git(args...)
	return err
}

// noHash is what Git calls an object that must not exist.
var noHash = strings.Repeat("0", 40)

// change is one entry of a tree: a new blob with a mode, or none.
type change struct{ mode, blob string }

// tree is base, a tree or a commit or empty, with changes by path.
func (b *bare) tree(base string, changes map[string]change) (string, error) {
	dir, err := os.MkdirTemp(b.home, "index")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	env := []string{"GIT_INDEX_FILE=" + filepath.Join(dir, "index")}
	if base != "" {
		if _, err := b.run(env, nil, "read-tree", base); err != nil {
			return "", err
		}
	}
	var lines strings.Builder
	for path, c := range changes {
		if c.blob == "" {
			fmt.Fprintf(&lines, "0 %s\t%s\x00", noHash, path)
		} else {
			fmt.Fprintf(&lines, "%s %s\t%s\x00", c.mode, c.blob, path)
		}
	}
	if _, err := b.run(env, []byte(lines.String()), "update-index", "-z", "--index-info"); err != nil {
		return "", err
	}
	return b.run(env, nil, "write-tree")
}

// blob stores a file's content.
func (b *bare) blob(content []byte) (string, error) {
	return b.run(nil, content, "hash-object", "-w", "--stdin")
}

// commit stores a commit; no ref points to it.
func (b *bare) commit(tree string, parents []string, message string, author identity) (string, error) {
	args := []string{"commit-tree", tree, "-F", "-"}
	for _, p := range parents {
		args = append(args, "-p", p)
	}
	return b.run(author.env(), []byte(message), args...)
}

func (i identity) env() []string {
	return []string{
		"GIT_AUTHOR_NAME=" + i.name, "GIT_AUTHOR_EMAIL=" + i.email,
		"GIT_COMMITTER_NAME=" + i.name, "GIT_COMMITTER_EMAIL=" + i.email,
	}
}

// commitTo commits files, nil for one that goes, on top of parent and points ref
// to it. Files that exist keep their modes.
func (b *bare) commitTo(ref, parent string, files map[string][]byte, message string, author identity) (string, error) {
	changes := map[string]change{}
	for path, content := range files {
		if content == nil {
			changes[path] = change{}
			continue
		}
		blob, err := b.blob(content)
		if err != nil {
			return "", err
		}
		changes[path] = change{b.mode(parent, path), blob}
	}
	tree, err := b.tree(parent, changes)
	if err != nil {
		return "", err
	}
	hash, err := b.commit(tree, slices.DeleteFunc([]string{parent}, func(p string) bool { return p == "" }), message, author)
	if err != nil {
		return "", err
	}
	return hash, b.setRef(ref, hash, "")
}

// mode of a file of a commit; that of a regular file when there is none.
func (b *bare) mode(rev, path string) string {
	if rev != "" {
		if out, err := b.git("ls-tree", rev, "--", path); err == nil && out != "" {
			return out[:6]
		}
	}
	return "100644"
}

// show is a file of a commit or branch.
func (b *bare) show(rev, path string) ([]byte, error) { return b.cat(rev + ":" + path) }

// cat is the content of a blob.
func (b *bare) cat(object string) ([]byte, error) {
	out, err := b.run(nil, nil, "cat-file", "blob", object)
	if err != nil {
		return nil, err
	}
	size, err := b.git("cat-file", "-s", object)
	if err != nil {
		return nil, err
	}
	// The last line's end was taken off; the size tells whether there was one.
	if fmt.Sprint(len(out)) != size {
		out += "\n"
	}
	return []byte(out), nil
}

// merge is the tree of head merged into base; ok is false for a conflict. It
// needs git 2.38.
func (b *bare) merge(base, head string) (tree string, ok bool) {
	out, err := b.git("merge-tree", "--write-tree", "--no-messages", base, head)
	if err != nil {
		return "", false
	}
	return out, true
}
