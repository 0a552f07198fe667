package forge_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/gitops/forge"
)

func TestLocate(t *testing.T) {
	tests := []struct {
		url  string
		want forge.Place
	}{
		{"https://github.com/o/n", forge.Place{Kind: "github", Host: "github.com", API: "https://api.github.com", Owner: "o", Name: "n"}},
		{"https://GitHub.com/Org/Fleet.git", forge.Place{Kind: "github", Host: "github.com", API: "https://api.github.com", Owner: "Org", Name: "Fleet"}},
		{" https://github.com:443//o/n.git/\n", forge.Place{Kind: "github", Host: "github.com", API: "https://api.github.com", Owner: "o", Name: "n"}},
		{"https://user:s3cret@github.com/o/n", forge.Place{Kind: "github", Host: "github.com", API: "https://api.github.com", Owner: "o", Name: "n"}},
		{"ssh://git@github.com/o/n", forge.Place{Kind: "github", Host: "github.com", API: "https://api.github.com", Owner: "o", Name: "n"}},
		{"ssh://git@ssh.github.com:443/o/n.git", forge.Place{Kind: "github", Host: "github.com", API: "https://api.github.com", Owner: "o", Name: "n"}},
		{"git@github.com:o/n.git", forge.Place{Kind: "github", Host: "github.com", API: "https://api.github.com", Owner: "o", Name: "n"}},
		{"github.com:/o/n.git", forge.Place{Kind: "github", Host: "github.com", API: "https://api.github.com", Owner: "o", Name: "n"}},
		{"https://github.com/o/.github", forge.Place{Kind: "github", Host: "github.com", API: "https://api.github.com", Owner: "o", Name: ".github"}},
		{"https://github.example.com/o/n", forge.Place{Kind: "github", Host: "github.example.com", API: "https://github.example.com/api/v3", Owner: "o", Name: "n"}},
		{"ssh://git@github.example.com:2222/o/n", forge.Place{Kind: "github", Host: "github.example.com", API: "https://github.example.com/api/v3", Owner: "o", Name: "n"}},
		{"https://octo.ghe.com/o/n", forge.Place{Kind: "github", Host: "octo.ghe.com", API: "https://api.octo.ghe.com", Owner: "o", Name: "n"}},
		{"https://gitlab.com/a/b/c/n.git", forge.Place{Kind: "gitlab", Host: "gitlab.com", API: "https://gitlab.com/api/v4", Owner: "a/b/c", Name: "n"}},
		{"ssh://git@altssh.gitlab.com:443/a/n", forge.Place{Kind: "gitlab", Host: "gitlab.com", API: "https://gitlab.com/api/v4", Owner: "a", Name: "n"}},
		{"https://gitlab.example:8443/a/n", forge.Place{Kind: "gitlab", Host: "gitlab.example:8443", API: "https://gitlab.example:8443/api/v4", Owner: "a", Name: "n"}},
		{"https://codeberg.org/o/n", forge.Place{Kind: "gitea", Host: "codeberg.org", API: "https://codeberg.org/api/v1", Owner: "o", Name: "n"}},
		{"https://gitea.com/o/n", forge.Place{Kind: "gitea", Host: "gitea.com", API: "https://gitea.com/api/v1", Owner: "o", Name: "n"}},
		{"http://forgejo.example:3000/o/n", forge.Place{Kind: "gitea", Host: "forgejo.example:3000", API: "http://forgejo.example:3000/api/v1", Owner: "o", Name: "n"}},
		{"https://git.example/o/n", forge.Place{Host: "git.example", API: "https://git.example", Owner: "o", Name: "n"}},
		{"https://git.example/below/o/n", forge.Place{Host: "git.example", API: "https://git.example", Owner: "below/o", Name: "n"}},
		{"https://github/o/n", forge.Place{Host: "github", API: "https://github", Owner: "o", Name: "n"}},
		{"https://notgithub.com/o/n", forge.Place{Host: "notgithub.com", API: "https://notgithub.com", Owner: "o", Name: "n"}},
		{"https://github.com.evil.example/o/n", forge.Place{Kind: "github", Host: "github.com.evil.example", API: "https://github.com.evil.example/api/v3", Owner: "o", Name: "n"}},
		{"http://127.0.0.1:3000/o/n", forge.Place{Host: "127.0.0.1:3000", API: "http://127.0.0.1:3000", Owner: "o", Name: "n"}},
		{"https://[2001:db8::1]:8443/o/n", forge.Place{Host: "[2001:db8::1]:8443", API: "https://[2001:db8::1]:8443", Owner: "o", Name: "n"}},
		{"ssh://git@[2001:db8::1]:22/o/n", forge.Place{Host: "[2001:db8::1]", API: "https://[2001:db8::1]", Owner: "o", Name: "n"}},
		{"git@[2001:db8::1]:o/n.git", forge.Place{Host: "[2001:db8::1]", API: "https://[2001:db8::1]", Owner: "o", Name: "n"}},
	}
	for _, tt := range tests {
		got, err := forge.Locate(tt.url)
		if err != nil || got != tt.want {
			t.Errorf("%s\n got %+v, %v\nwant %+v", tt.url, got, err, tt.want)
		}
	}
}

func TestLocateRefuses(t *testing.T) {
	tests := []struct {
		url  string
		kind forge.Kind
		want string
	}{
		{"", forge.Invalid, "neither"},
		{"o/n", forge.Invalid, "neither"},
		{"/srv/git/n.git", forge.Invalid, "neither"},
		{`C:\repos\n`, forge.Invalid, "characters"},
		{"c:repos/n", forge.Invalid, "neither"},
		{"file:///srv/git/n.git", forge.Invalid, "scheme"},
		{"git://github.com/o/n", forge.Invalid, "scheme"},
		{"javascript://github.com/o/n", forge.Invalid, "scheme"},
		{"https://github.com", forge.Invalid, "no owner"},
		{"https://github.com/o", forge.Invalid, "no owner"},
		{"https://github.com/o/.git", forge.Invalid, "no name"},
		{"https://github.com/a/b/c", forge.Invalid, "3 parts"},
		{"https://gitlab.com/" + strings.Repeat("a/", 30) + "n", forge.Invalid, "more than"},
		{"https://github.com/../n", forge.Invalid, "no name"},
		{"https://github.com/o/..", forge.Invalid, "no name"},
		{"https://github.com/o/...git", forge.Invalid, "no name"},
		{"https://github.com/%2e%2e/n", forge.Invalid, "none of a repository"},
		{"https://github.com/o%2fx/n", forge.Invalid, "none of a repository"},
		{"https://github.com/o/n?x=1", forge.Invalid, "query"},
		{"https://github.com/o/n?", forge.Invalid, "query"},
		{"https://github.com/o/n#main", forge.Invalid, "fragment"},
		{"https://github.com/o/n#", forge.Invalid, "fragment"},
		{"https://github.com/o/a b", forge.Invalid, "characters"},
		{"https://github.com/o/\x1b[31m", forge.Invalid, "characters"},
		{"https://gïthub.com/o/n", forge.Invalid, "characters"},
		{"https://github.com/o/n<script>", forge.Invalid, "none of a repository"},
		{"https:///o/n", forge.Invalid, "none of a repository"},
		{"https://user:s3cret@/o/n", forge.Invalid, "none of a repository"},
		{"https://user:s3cret@host:port/o/n", forge.Invalid, "no valid URL"},
		{"https://user:s3cret@-h/o/n", forge.Invalid, "none of a repository"},
		{"https://a..b/o/n", forge.Invalid, "none of a repository"},
		{"https://[fe80::1%25eth0]/o/n", forge.Invalid, "none of a repository"},
		{"https://github.com/o/" + strings.Repeat("n", 3000), forge.Invalid, "longer"},
		{"https://dev.azure.com/org/project/_git/repo", forge.Unsupported, "Azure DevOps"},
		{"git@ssh.dev.azure.com:v3/org/project/repo", forge.Unsupported, "Azure DevOps"},
		{"https://org.visualstudio.com/project/_git/repo", forge.Unsupported, "Azure DevOps"},
		{"https://bitbucket.org/o/n", forge.Unsupported, "Bitbucket"},
		{"https://bitbucket.example/scm/o/n.git", forge.Unsupported, "Bitbucket"},
		{"https://git.example/scm/o/n.git", forge.Unsupported, "Bitbucket"},
		{"https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/n", forge.Unsupported, "CodeCommit"},
		{"https://source.developers.google.com/p/x/r/n", forge.Unsupported, "Google"},
	}
	for _, tt := range tests {
		got, err := forge.Locate(tt.url)
		var e *forge.Error
		if !errors.As(err, &e) || e.Kind != tt.kind || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %+v, %v; want %s with %q", tt.url, got, err, tt.kind, tt.want)
			continue
		}
		if e.Hint == "" || strings.Contains(err.Error(), "s3cret") || e.Transient() {
			t.Errorf("%q: %v, hint %q", tt.url, err, e.Hint)
		}
		if tt.kind == forge.Unsupported && !strings.Contains(e.Hint, "bundle") {
			t.Errorf("%q: hint %q names no other way", tt.url, e.Hint)
		}
	}
}

func FuzzLocate(f *testing.F) {
	for _, s := range []string{
		"https://github.com/o/n", "git@gitlab.com:a/b/n.git", "ssh://git@[::1]:22/o/n", "https://u:p@h/../n",
		"https://h/a%2fb/c", "https://h:0/o/n#x", "h:o/n", "HTTP://H./o/n.git.git",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, url string) {
		p, err := forge.Locate(url)
		if err != nil {
			return
		}
		whole := p.Host + p.API + p.Owner + p.Name
		if strings.ContainsAny(whole, "@?#% \\<>\"") || strings.ContainsFunc(whole, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q: unfit characters in %+v", url, p)
		}
		for part := range strings.SplitSeq(p.Owner+"/"+p.Name, "/") {
			if part == "" || part == "." || part == ".." {
				t.Errorf("%q: path escapes in %+v", url, p)
			}
		}
		again, err := forge.Locate("https://" + p.Host + "/" + p.Owner + "/" + p.Name + ".git")
		if err != nil || again.Host != p.Host || again.Owner != p.Owner || again.Name != p.Name {
			t.Errorf("%q: %+v is read again as %+v, %v", url, p, again, err)
		}
	})
}
