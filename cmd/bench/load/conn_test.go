package load_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"headless.ly/cmd/bench/load"
)

// serve answers every request on its one connection with the next of the answers, as they are.
func serve(t *testing.T, answers ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		for _, a := range answers {
			for line := ""; line != "\r\n"; {
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
			fmt.Fprint(conn, a)
		}
	}()
	return l.Addr().String()
}

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func TestConnReadsAnswersInARow(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 10_000)
	addr := serve(t,
		"HTTP/1.1 201 Created\r\nCONTENT-LENGTH:  5\r\n\r\nhello",
		"HTTP/1.1 204 No Content\r\nETag: \"1\"\r\nX-Seq: 4711\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n1\r\nf\r\n0\r\nT: 1\r\n\r\n",
		fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long),
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
	)
	c, err := load.Dial(addr, time.Now().Add(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, want := range []struct {
		status int
		seq    int64
		body   string
	}{{201, 0, "hello"}, {204, 4711, ""}, {200, 0, "abcde"}, {200, 0, "f"}, {200, 0, long}, {404, 0, ""}} {
		a, err := c.Do([]byte(get))
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if a.Status != want.status || a.Seq != want.seq || string(a.Body) != want.body {
			t.Errorf("answer %d: got %d with %d bytes, want %d with %d", i, a.Status, len(a.Body), want.status, len(want.body))
		}
	}
}

func TestConnRefusesWhatIsNoAnswer(t *testing.T) {
	for _, answer := range []string{
		"", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-Seq: five\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
	} {
		c, err := load.Dial(serve(t, answer), time.Now().Add(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if a, err := c.Do([]byte(get)); err == nil {
			t.Errorf("%q was read as %d %q", answer, a.Status, a.Body)
		}
		c.Close()
	}
}
