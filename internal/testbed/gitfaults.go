package testbed

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// GitStatus answers with a status and a text.
func GitStatus(code int, text string) GitFault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}
}

// GitRedirect sends the client to another server, with the same path.
func GitRedirect(to string) GitFault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, strings.TrimSuffix(to, "/")+r.URL.RequestURI(), http.StatusMovedPermanently)
	}
}

// GitCut serves the request and cuts the connection after so many bytes of the
// answer's body; with 0 the client hears nothing of what was done.
func GitCut(after int) GitFault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		if after > 0 {
			for name, values := range answer.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(answer.Code)
			body := answer.Body.Bytes()
			_, _ = w.Write(body[:min(after, len(body))])
			_ = http.NewResponseController(w).Flush()
		}
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	}
}

// GitStall answers nothing until the client gives up.
func GitStall() GitFault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		// The server sees that the client is gone only once the body is read.
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
}

// GitBefore does something and then serves the request: a push that comes in
// between, a repository that is renamed meanwhile.
func GitBefore(do func()) GitFault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		do()
		next.ServeHTTP(w, r)
	}
}

// GitAfter serves the request and then does something, before the client has
// read the answer to its end.
func GitAfter(do func()) GitFault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		do()
	}
}

// counted counts the bytes of bodies and the requests.
func (g *Git) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.requests.Add(1)
		r.Body = &countedBody{r.Body, g}
		next.ServeHTTP(&countedAnswer{w, g}, r)
	})
}

type countedBody struct {
	io.ReadCloser
	git *Git
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.git.in.Add(int64(n))
	return n, err
}

type countedAnswer struct {
	http.ResponseWriter
	git *Git
}

func (a *countedAnswer) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	a.git.out.Add(int64(n))
	return n, err
}

// Unwrap is for [http.ResponseController].
func (a *countedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
