package main

import (
	"bufio"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// serve answers every connection with the same bytes and hands back the requests' lines.
func serve(t *testing.T, network, address, answer string) (string, <-chan []string) {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	requests := make(chan []string, 16)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			requests <- readHead(connection)
			connection.Write([]byte(answer))
			connection.Close()
		}
	}()
	return listener.Addr().String(), requests
}

func readHead(connection net.Conn) []string {
	var lines []string
	scanner := bufio.NewScanner(connection)
	for scanner.Scan() && scanner.Text() != "" {
		lines = append(lines, scanner.Text())
	}
	return lines
}

func TestHTTPProbeJudgesTheStatusAsTheKubeletDoes(t *testing.T) {
	for answer, want := range map[string]struct {
		code int
		line string
	}{
		"HTTP/1.1 200 OK\r\n\r\n":                   {exitOK, ""},
		"HTTP/1.0 204\r\n\r\n":                      {exitOK, ""},
		"HTTP/1.1 399 Odd\r\n\r\n":                  {exitOK, ""},
		"HTTP/1.1 199 Early\r\n\r\n":                {exitFailed, "status 199"},
		"HTTP/1.1 400 Bad Request\r\n\r\n":          {exitFailed, "status 400"},
		"HTTP/1.1 503 Service Unavailable\r\n\r\n":  {exitFailed, "status 503"},
		"HTTP/2 200\r\n\r\n":                        {exitFailed, "not HTTP/1"},
		"HTTP/1.1 2000\r\n\r\n":                     {exitFailed, "not HTTP/1"},
		"SSH-2.0-OpenSSH\r\n":                       {exitFailed, "not HTTP/1"},
		"":                                          {exitFailed, "closed before an answer"},
		"HTTP/1.1 200":                              {exitFailed, "closed before an answer"},
		"HTTP/1.1 200 " + strings.Repeat("x", 4096): {exitFailed, "too long"},
	} {
		t.Run(answer[:min(len(answer), 20)], func(t *testing.T) {
			path, _ := serve(t, "unix", socketPath(t), answer)
			launcher(t, "probe", "http", "--socket", path, "--path", "/health").expect(t, want.code, want.line)
		})
	}
}

func TestHTTPProbeSendsPathHostAndHeaders(t *testing.T) {
	path, requests := serve(t, "unix", socketPath(t), "HTTP/1.1 200 OK\r\n\r\n")
	launcher(t, "probe", "http", "--socket", path, "--path", "/health?full=1", "--host", "model",
		"--header", "X-A=1", "--header", "X-B=b=c").expect(t, exitOK, "")
	got := strings.Join(<-requests, "\n")
	want := "GET /health?full=1 HTTP/1.1\nHost: model\nUser-Agent: bartizan-launcher/" + gitVersion +
		"\nAccept: */*\nX-A: 1\nX-B: b=c\nConnection: close"
	if got != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
}

func TestHTTPProbeSendsOneHostOnly(t *testing.T) {
	path, requests := serve(t, "unix", socketPath(t), "HTTP/1.1 200 OK\r\n\r\n")
	launcher(t, "probe", "http", "--socket", path, "--header", "host=theirs").expect(t, exitOK, "")
	if got := strings.Join(<-requests, "\n"); strings.Count(strings.ToLower(got), "host:") != 1 {
		t.Errorf("sent\n%s", got)
	}
}

func TestProbesReachATCPPort(t *testing.T) {
	address, _ := serve(t, "tcp", "127.0.0.1:0", "HTTP/1.1 200 OK\r\n\r\n")
	launcher(t, "probe", "http", "--tcp", address).expect(t, exitOK, "")
	launcher(t, "probe", "tcp", "--tcp", address).expect(t, exitOK, "")
}

func TestTCPProbeTellsAbsentStaleAndForbiddenApart(t *testing.T) {
	stale, forbidden := socketPath(t), socketPath(t)
	leaveSocket(t, stale)
	serve(t, "unix", forbidden, "")
	launcher(t, "probe", "tcp", "--socket", forbidden).expect(t, exitOK, "")
	launcher(t, "probe", "tcp", "--socket", socketPath(t)).expect(t, exitFailed, "no such file")
	launcher(t, "probe", "tcp", "--socket", stale).expect(t, exitFailed, "connection refused")
	if os.Geteuid() == 0 {
		return // root connects whatever the mode
	}
	if err := os.Chmod(forbidden, 0); err != nil {
		t.Fatal(err)
	}
	launcher(t, "probe", "tcp", "--socket", forbidden).expect(t, exitFailed, "permission denied")
}

func TestProbeEndsAtItsTimeout(t *testing.T) {
	path := socketPath(t)
	listener, err := net.Listen("unix", path) // accepts in the kernel, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	start := time.Now()
	launcher(t, "probe", "http", "--socket", path, "--timeout", "200ms").expect(t, exitFailed, "timeout")
	if elapsed := time.Since(start); elapsed > 5*time.Second {
		t.Errorf("took %v", elapsed)
	}
}
