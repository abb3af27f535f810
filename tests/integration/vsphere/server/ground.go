package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

type words map[string]interface{}

// Ground is what really holds the machines' file systems and runs their programs, behind a socket: HTTP with JSON.
type Ground struct {
	client *http.Client
}

func NewGround(socket string) *Ground {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &Ground{&http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// order has something done. goal: for the answer, or nil. Without a ground nothing is done.
func (g *Ground) order(name string, asked words, goal interface{}) fault {
	if g == nil {
		return nil
	}
	body, err := json.Marshal(asked)
	var res *http.Response
	if err == nil {
		res, err = g.client.Post("http://ground/"+name, "application/json", bytes.NewReader(body))
	}
	if err != nil {
		return broken(name, err)
	}
	defer res.Body.Close()
	var answer struct {
		Fault, Text string
		Result      json.RawMessage
	}
	if err = json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return broken(name, err)
	}
	if answer.Fault != "" {
		return faultOf(answer.Fault, answer.Text)
	}
	if goal == nil {
		return nil
	}
	if err = json.Unmarshal(answer.Result, goal); err != nil {
		return broken(name, err)
	}
	return nil
}

func broken(name string, err error) fault {
	log.Printf("ground: %s: %s", name, err)
	return &types.SystemError{Reason: err.Error()}
}

func faultOf(kind, text string) fault {
	file := types.FileFault{File: text}
	switch kind {
	case "InvalidGuestLogin":
		return &types.InvalidGuestLogin{}
	case "GuestPermissionDenied":
		return &types.GuestPermissionDenied{}
	case "FileNotFound":
		return &types.FileNotFound{FileFault: file}
	case "FileAlreadyExists":
		return &types.FileAlreadyExists{FileFault: file}
	case "NotAFile":
		return &types.NotAFile{FileFault: file}
	case "NotADirectory":
		return &types.NotADirectory{FileFault: file}
	case "DirectoryNotEmpty":
		return &types.DirectoryNotEmpty{FileFault: file}
	case "FileFault":
		return &file
	case "GuestProcessNotFound":
		return &types.GuestProcessNotFound{}
	}
	return broken(kind, fmt.Errorf("%s", text))
}

func query(asked words) string {
	made := url.Values{}
	for name, value := range asked {
		made.Set(name, fmt.Sprint(value))
	}
	return made.Encode()
}

// put writes a file there; the HTTP status that the client gets.
func (g *Ground) put(asked words, body io.Reader) int {
	res, err := g.client.Post("http://ground/put?"+query(asked), "application/octet-stream", body)
	if err != nil {
		log.Print(err)
		return http.StatusInternalServerError
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		log.Printf("ground: put: %s", strings.TrimSpace(string(text)))
	}
	return res.StatusCode
}

func (g *Ground) get(asked words, w http.ResponseWriter) {
	res, err := g.client.Get("http://ground/get?" + query(asked))
	if err != nil || res.StatusCode != http.StatusOK {
		log.Printf("ground: get: %v", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	defer res.Body.Close()
	if _, err = io.Copy(w, res.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}
