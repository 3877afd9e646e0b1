package content

// path is where the text of the language stands.
func (m *message) path() string { return "message.languages." + m.language }

// words are title and body, named alike by APNs and FCM.
func (m *message) words() *node {
	words := objectNode().set("title", textNode(m.path()+".title", m.text.Title))
	if m.text.Body != "" {
		words.set("body", textNode(m.path()+".body", m.text.Body))
	}
	return words
}

// link is the language's own or else the message's; nil is none.
func (m *message) link() *node {
	return m.own("link", m.text.GetLink(), m.Link)
}

// image is the language's own or else the message's; nil is none.
func (m *message) image() *node {
	return m.own("image", m.text.GetImage(), m.Image)
}

func (m *message) own(field, own, shared string) *node {
	switch {
	case own != "":
		return textNode(m.path()+"."+field, own)
	case shared != "":
		return textNode("message."+field, shared)
	}
	return nil
}

// data holds the message's data, sorted by key.
func (m *message) data() *node {
	data := objectNode()
	for _, key := range sortedKeys(m.Data) {
		data.set(key, textNode("message.data."+key, m.Data[key]))
	}
	return data
}
