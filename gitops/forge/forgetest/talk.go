package forgetest

import (
	"slices"
	"strings"
	"sync"

	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

var twoLabels = []string{"remediation", "area/cilium"}

func (b *bench) mark(pr forge.PullRequest, labels, reviewers []string) (warnings []string) {
	b.Helper()
	warnings, err := b.f.Mark(b.Context(), pr, labels, reviewers)
	if err != nil {
		b.Fatal(err)
	}
	return warnings
}

// labeled wants exactly these on the only pull request.
func (b *bench) labeled(want ...string) {
	b.Helper()
	got := slices.Sorted(slices.Values(b.shown().Labels))
	if slices.Sort(want); !slices.Equal(got, want) {
		b.Errorf("labels %q, want %q", got, want)
	}
}

func mark(b *bench) {
	pr := b.open(func(q *forge.Request) { q.Labels = twoLabels })
	for range 2 {
		if w := b.mark(pr, twoLabels, nil); len(w) != 0 {
			b.Errorf("warnings %q", w)
		}
		b.labeled(twoLabels...)
	}
	found := b.find()
	if got := slices.Sorted(slices.Values(found.Labels)); !slices.Equal(got, []string{"area/cilium", "remediation"}) {
		b.Errorf("found labels %q", got)
	}
	if w := b.mark(found, []string{"one more: with ünïcode"}, nil); len(w) != 0 {
		b.Errorf("warnings %q", w)
	}
	b.labeled("area/cilium", "remediation", "one more: with ünïcode")
	// Opening with labels is optional; marking is not.
	b.s.ClosePR(b, pr.Number)
}

func markAfterUnlabel(b *bench) {
	pr := b.open(nil)
	b.mark(pr, twoLabels, nil)
	b.s.Unlabel(b, pr.Number, "remediation")
	for range 2 {
		b.mark(b.find(), twoLabels, nil)
		b.labeled("area/cilium")
	}
}

func labelsOnce(b *bench, s Labeler) {
	pr := b.open(nil)
	var wg sync.WaitGroup
	for range 4 {
		f := b.connect(b.T, b.s)
		wg.Go(func() {
			if _, err := f.Mark(b.Context(), pr, twoLabels, nil); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	// Whoever came too late may have lost its label with one that it took back.
	b.mark(b.find(), twoLabels, nil)
	b.labeled(twoLabels...)
	got := slices.DeleteFunc(s.Labels(b), func(name string) bool { return !slices.Contains(twoLabels, name) })
	if slices.Sort(got); !slices.Equal(got, []string{"area/cilium", "remediation"}) {
		b.Errorf("the repository has the labels %q", got)
	}
}

func markUnknownReviewer(b *bench) {
	pr := b.open(nil)
	warnings := b.mark(pr, twoLabels, []string{"nobody-of-that-name"})
	if len(warnings) != 1 || !strings.Contains(warnings[0], "nobody-of-that-name") || strings.ContainsAny(warnings[0], "\n\x1b") {
		b.Errorf("warnings %q", warnings)
	}
	for _, wrong := range []string{"private repository", "its words say why", ".:"} {
		if strings.Contains(strings.Join(warnings, ""), wrong) {
			b.Errorf("the warning is about something else: %q", warnings)
		}
	}
	b.labeled(twoLabels...)
}

func markReviewer(b *bench) {
	pr := b.open(func(q *forge.Request) { q.Reviewers = []string{b.s.Writer()} })
	for range 2 {
		if w := b.mark(pr, nil, []string{b.s.Writer()}); len(w) != 0 {
			b.Errorf("warnings %q", w)
		}
	}
}

func comments(b *bench) {
	pr := b.open(nil)
	if all, err := b.f.Comments(b.Context(), pr); err != nil || len(all) != 0 {
		b.Errorf("%+v, %v", all, err)
	}
	b.s.CommentPR(b, b.s.Reader(), pr.Number, "/remediate reject no")
	mine, err := b.f.Comment(b.Context(), pr, "", "first")
	if err != nil || !b.mine(pr, mine) || mine.ID == "" || mine.Body != "first" {
		b.Fatalf("%+v, %v", mine, err)
	}
	b.s.CommentPR(b, b.s.Writer(), pr.Number, "/remediate snooze 7d")
	again, err := b.f.Comment(b.Context(), pr, mine.ID, "second")
	if err != nil || again.ID != mine.ID || again.Body != "second" || !b.mine(pr, again) {
		b.Errorf("%+v, %v", again, err)
	}
	all, err := b.f.Comments(b.Context(), pr)
	if err != nil || len(all) != 3 {
		b.Fatalf("%+v, %v", all, err)
	}
	for i, want := range []forge.Comment{
		{Author: b.s.Reader(), Body: "/remediate reject no"},
		{Author: b.s.Bot(), Body: "second", ID: mine.ID},
		{Author: b.s.Writer(), Body: "/remediate snooze 7d"},
	} {
		got := all[i]
		if got.Author != want.Author || got.Body != want.Body || b.mine(pr, got) != (i == 1) || !recent(got.At) || want.ID != "" && got.ID != want.ID {
			b.Errorf("comment %d: %+v, want %+v", i, got, want)
		}
	}
	if got := b.shown().Comments; !slices.Equal(got, []string{"/remediate reject no", "second", "/remediate snooze 7d"}) {
		b.Errorf("the forge shows %q", got)
	}
}

func (b *bench) mine(pr forge.PullRequest, c forge.Comment) bool {
	b.Helper()
	mine, err := b.f.Mine(b.Context(), pr, c)
	if err != nil {
		b.Fatal(err)
	}
	return mine
}

// whoseIsAskedOnce: reading comments does not need to know who we are.
func whoseIsAskedOnce(b *bench) {
	pr := b.open(nil)
	b.s.CommentPR(b, b.s.Reader(), pr.Number, "text")
	fresh := b.connect(b.T, b.s)
	b.s.Requests()
	all, err := fresh.Comments(b.Context(), pr)
	if n := b.s.Requests(); err != nil || len(all) != 1 || n != 1 {
		b.Fatalf("%+v, %v, %d requests", all, err, n)
	}
	nobodys := forge.Comment{Body: "moved here from elsewhere"}
	for i, c := range []forge.Comment{all[0], nobodys} {
		mine, err := fresh.Mine(b.Context(), pr, c)
		if n := b.s.Requests(); err != nil || mine || n != 1-i {
			b.Errorf("%+v: mine %v, %v, %d requests", c, mine, err, n)
		}
	}
}

func commentGone(b *bench) {
	pr := b.open(nil)
	_, err := b.f.Comment(b.Context(), pr, "99999999", "text")
	b.fails(err, forge.NotFound)
	_, err = b.f.Comment(b.Context(), pr, "not a number", "text")
	b.fails(err, forge.NotFound, forge.Invalid)
}

func canWrite(b *bench) {
	for user, want := range map[string]bool{
		b.s.Writer(): true, b.s.Bot(): true, b.s.Reader(): false, "stranger": false, "nobody-of-that-name": false, "": false,
	} {
		if got, err := b.f.CanWrite(b.Context(), user); err != nil || got != want {
			b.Errorf("CanWrite(%q) = %v, %v; want %v", user, got, err, want)
		}
	}
}

func largestBody(b *bench) {
	body := strings.Repeat("ä", forge.MaxBody)
	pr := b.open(func(q *forge.Request) { q.Body = body })
	if pr.Body != body || b.find().Body != body {
		b.Errorf("the body comes back with %d bytes, want %d", len(pr.Body), len(body))
	}
	if c, err := b.f.Comment(b.Context(), pr, "", body); err != nil || c.Body != body {
		b.Errorf("the comment comes back with %d bytes, %v", len(c.Body), err)
	}
	title := strings.Repeat("t", forge.MaxTitle)
	got, err := b.f.Edit(b.Context(), pr, forge.Edit{Title: &title})
	if err != nil || got.Title != title {
		b.Errorf("the title comes back with %d characters, %v", len(got.Title), err)
	}
}

// hostile texts come back as they were sent, or are refused so that it is clear.
func hostileText(b *bench) {
	pr := b.open(nil)
	for name, text := range map[string]string{
		"mention":       "@" + b.s.Writer() + " #1 !1 " + b.s.Name() + "#1",
		"HTML":          "<script>alert(1)</script><img src=x onerror=alert(1)><!-- remediate {\"v\":1} -->",
		"emoji":         "🚨 \U0001F468\u200d\U0001F469\u200d\U0001F467 مرحبا e\u0301",
		"bidi":          "a\u202eb\u2066c",
		"control":       "a\x1b[31mb\x07",
		"NUL":           "a\x00b",
		"not UTF-8":     "a\xffb",
		"JSON":          `{"a":"\u0000"}`,
		"quick actions": "text\n/close\n/merge\n",
	} {
		c, err := b.f.Comment(b.Context(), pr, "", text)
		if err != nil {
			b.Logf("%s: %v", name, err)
			b.fails(err, forge.Invalid)
		} else if c.Body != text && strings.TrimSpace(c.Body) != strings.TrimSpace(text) {
			b.Errorf("%s: comment %q, want %q", name, c.Body, text)
		}
		got, err := b.f.Edit(b.Context(), pr, forge.Edit{Body: &text})
		if err != nil {
			b.fails(err, forge.Invalid)
		} else if got.Body != text && strings.TrimSpace(got.Body) != strings.TrimSpace(text) {
			b.Errorf("%s: body %q, want %q", name, got.Body, text)
		}
	}
	if got := b.find(); got.State != forge.Open {
		b.Errorf("a text has closed it: %+v", got)
	}
}

func repositoryIs(b *bench) {
	got, err := b.f.Repository(b.Context())
	want := forge.Repository{Name: b.s.Name(), DefaultBranch: got.DefaultBranch, CanPush: true}
	if err != nil || got != want || b.s.Branches(b)[got.DefaultBranch] == "" {
		b.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func archived(b *bench) {
	pr := b.open(nil)
	b.push("another")
	q := b.request()
	b.s.Archive(b)
	got, err := b.f.Repository(b.Context())
	if err != nil || !got.Archived {
		b.Errorf("%+v, %v", got, err)
	}
	q.Branch = "another"
	_, err = b.f.Open(b.Context(), q)
	b.fails(err, forge.Archived, forge.Forbidden)
	_, err = b.f.Comment(b.Context(), pr, "", "text")
	b.fails(err, forge.Archived, forge.Forbidden)
	if b.find().Number != pr.Number {
		b.Error("it is not found")
	}
}

// renamed: either the forge follows and says the new name, or it says Moved.
func renamed(b *bench) {
	b.open(nil)
	b.s.Rename(b, "moved-away")
	got, err := b.f.Repository(b.Context())
	if err == nil {
		if got.Name != b.s.Name() {
			b.Errorf("name %q, want %q", got.Name, b.s.Name())
		}
		return
	}
	b.fails(err, forge.Moved)
	if !strings.Contains(asError(err).Hint, "moved-away") {
		b.Errorf("the hint does not say where to: %s", asError(err).Hint)
	}
	_, err = b.f.Find(b.Context(), branch)
	b.fails(err, forge.Moved)
	_, err = b.f.Open(b.Context(), forge.Request{Title: "t", Branch: branch, Base: "main"})
	b.fails(err, forge.Moved)
}

func renamedDefault(b *bench) {
	old := b.base()
	b.open(nil)
	b.s.RenameDefaultBranch(b, "trunk")
	got, err := b.f.Repository(b.Context())
	if err != nil || got.DefaultBranch != "trunk" {
		b.Errorf("%+v, %v", got, err)
	}
	if pr := b.find(); pr.Base != "trunk" || pr.State != forge.Open {
		b.Errorf("found %+v", pr)
	}
	b.push("another")
	_, err = b.f.Open(b.Context(), forge.Request{Title: "t", Branch: "another", Base: old})
	b.fails(err, forge.NotFound, forge.Invalid)
}

func protected(b *bench) {
	b.s.Protect(b, b.base())
	b.open(nil)
	b.find()
}

func deletedRepository(b *bench, s Deleter) {
	b.open(nil)
	s.Delete(b)
	_, err := b.f.Find(b.Context(), branch)
	b.fails(err, forge.NotFound)
	_, err = b.f.Repository(b.Context())
	b.fails(err, forge.NotFound)
}

func wrongToken(b *bench, who SecretOf) {
	b.push(branch)
	q := b.request()
	f := b.as(who, "nobody-of-that-name")
	_, err := f.Find(b.Context(), branch)
	b.fails(err, forge.Unauthorized)
	_, err = f.Repository(b.Context())
	b.fails(err, forge.Unauthorized)
	_, err = f.Open(b.Context(), q)
	b.fails(err, forge.Unauthorized)
}

func readersToken(b *bench, who SecretOf) {
	pr := b.open(nil)
	f := b.as(who, b.s.Reader())
	got, err := f.Repository(b.Context())
	if err != nil || got.CanPush {
		b.Errorf("%+v, %v", got, err)
	}
	title := "mine now"
	_, err = f.Edit(b.Context(), pr, forge.Edit{Title: &title})
	b.fails(err, forge.Forbidden, forge.NotFound)
	if warnings, err := f.Mark(b.Context(), pr, twoLabels, nil); err != nil {
		b.fails(err, forge.Forbidden, forge.NotFound)
	} else if len(warnings) == 0 {
		b.Error("no warning")
	}
	b.labeled()
	_, err = b.as(who, "stranger").Find(b.Context(), branch)
	b.fails(err, forge.NotFound, forge.Forbidden)
}

var _ forges.Server = other{}
