package content

import (
	"strconv"
	"time"
)

// fcmPayload is an FCM v1 message but for its token (REST reference,
// projects.messages).
func fcmPayload(m *message) *node {
	payload, onAndroid := objectNode(), objectNode()
	if m.text != nil {
		words := m.words()
		if image := m.image(); image != nil {
			words.set("image", image)
		}
		payload.set("notification", words)
		if m.meta.Collapse != "" {
			onAndroid.set("tag", quoted(m.meta.Collapse))
		}
		if m.Sound != "" {
			onAndroid.set("sound", textNode("message.sound", m.Sound))
		}
		if m.Badge != nil {
			onAndroid.set("notification_count", rawNode(strconv.Itoa(int(*m.Badge))))
		}
	}
	if link := m.link(); link != nil || len(m.Data) > 0 {
		data := m.data()
		if link != nil {
			data.set("link", link)
		}
		payload.set("data", data)
	}
	priority := "NORMAL"
	if m.urgent {
		priority = "HIGH"
	}
	android := objectNode().set("priority", quoted(priority))
	android.set("ttl", quoted(strconv.FormatInt(int64(m.meta.TTL/time.Second), 10)+"s"))
	if len(onAndroid.members) > 0 {
		android.set("notification", onAndroid)
	}
	return payload.set("android", android)
}

func checkFCM(payload *node) error {
	for _, key := range []string{"token", "fid", "topic", "condition"} {
		if payload.get(key) != nil {
			return refuse("message.fcm."+key, "the recipient is not part of the message")
		}
	}
	for _, path := range []string{"data", "android.data"} {
		data := payload.get("data")
		if path == "android.data" {
			data = payload.get("android").get("data")
		}
		if data == nil {
			continue
		}
		for _, m := range data.members {
			if m.value.kind != text {
				return refuse("message.fcm."+path+"."+m.key, "FCM takes texts only in data")
			}
		}
	}
	if len(payload.members) == 0 {
		return refuse("message.fcm", "nothing is left of the message")
	}
	return nil
}
