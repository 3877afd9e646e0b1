//go:build servers

package servertest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"

	"golang.org/x/net/http2"
)

// site is where a server runs.
type site struct {
	folder    string // its own
	key, cert string // PEM files
	port      int
}

// server is a program that answers /ok with 200 and /gone with another status.
type server struct {
	name    string
	gone    int
	command func(t *testing.T, s site) *exec.Cmd
}

// All of them run with their own defaults for HTTP/2. nginx closes a connection
// with GOAWAY after 1,000 requests and allows 128 streams, nghttpd, h2o and
// Node 100, Go 250.
var servers = []server{
	{"nghttpd", http.StatusNotFound, func(t *testing.T, s site) *exec.Cmd {
		write(t, s.folder, "ok", "fine")
		return exec.Command("nghttpd", "--address=127.0.0.1", "--htdocs="+s.folder, fmt.Sprint(s.port), s.key, s.cert)
	}},
	{"nginx", http.StatusGone, func(t *testing.T, s site) *exec.Cmd {
		return exec.Command("nginx", "-p", s.folder, "-c", write(t, s.folder, "nginx.conf", fmt.Sprintf(`
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {
    listen 127.0.0.1:%d ssl http2;
    ssl_certificate %s;
    ssl_certificate_key %s;
    location = /ok { return 200 fine; }
    location = /gone { return 410 '{"reason":"Unregistered"}'; }
  }
}`, s.port, s.cert, s.key)))
	}},
	{"h2o", http.StatusGone, func(t *testing.T, s site) *exec.Cmd {
		me, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		return exec.Command("h2o", "--conf="+write(t, s.folder, "h2o.conf", fmt.Sprintf(`
user: %s
num-threads: 1
listen:
  host: 127.0.0.1
  port: %d
  ssl:
    certificate-file: %s
    key-file: %s
hosts:
  default:
    paths:
      /ok:
        mruby.handler: Proc.new { |env| [200, {}, ["fine"]] }
      /gone:
        mruby.handler: Proc.new { |env| [410, {}, ["{}"]] }
`, me.Username, s.port, s.cert, s.key)))
	}},
	{"node", http.StatusGone, func(t *testing.T, s site) *exec.Cmd {
		return exec.Command("node", write(t, s.folder, "server.js", fmt.Sprintf(`
const fs = require('fs')
const server = require('http2').createSecureServer({ key: fs.readFileSync(%q), cert: fs.readFileSync(%q) })
server.on('stream', (stream, headers) => {
  stream.resume()
  stream.respond({ ':status': headers[':path'].startsWith('/ok') ? 200 : 410 })
  stream.end('{}')
})
server.listen(%d, '127.0.0.1')
`, s.key, s.cert, s.port)))
	}},
	{"x/net", http.StatusGone, func(t *testing.T, s site) *exec.Cmd {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command(self)
		c.Env = append(os.Environ(), fmt.Sprintf("%s=127.0.0.1:%d", goVariable, s.port), "CERT="+s.cert, "KEY="+s.key)
		return c
	}},
}

// write puts a file into a folder and returns its path.
func write(t *testing.T, folder, name, text string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// goVariable makes the test binary Go's server.
const goVariable = "SERVERTEST_GO"

func TestMain(m *testing.M) {
	address := os.Getenv(goVariable)
	if address == "" {
		os.Exit(m.Run())
	}
	s := &http.Server{Addr: address, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path != "/ok" {
			w.WriteHeader(http.StatusGone)
		}
		io.WriteString(w, "{}")
	})}
	err := http2.ConfigureServer(s, nil)
	if err == nil {
		err = s.ListenAndServeTLS(os.Getenv("CERT"), os.Getenv("KEY"))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
