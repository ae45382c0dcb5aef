package doctor

import (
	"slices"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// Words are one text in Chinese and in English. "{name}" stands for the evidence of
// that name.
type Words struct{ ZH, EN string }

// Text says what a cause means and what a person does about it.
type Text struct{ What, Remedy Words }

// TextOf says to the company's administrator what a cause of a check means, with the
// evidence in it; nothing for no cause. A cause that a later version stored has the
// text of an unknown answer. own is true for a cause that only the doctor names, and
// for one with another remedy at the self-built app. For every other [archive.Cause],
// operators have a text of their own.
func TextOf(check Check, c Cause, evidence []Evidence) (t Text, own bool) {
	if check == CheckApp || check == CheckAppCallback {
		t, own = appTexts[c]
	}
	if !own {
		t, own = texts[c]
	}
	if !own {
		var ok bool
		if t, ok = answers[c]; !ok && c != "" {
			t = answers[Cause(archive.CauseUnknownResponse)]
		}
	}
	if b, of := bare[t.What]; of && !slices.ContainsFunc(evidence, func(e Evidence) bool { return e.Fact == b.without }) {
		t.What = b.what
	}
	return Text{t.What.With(evidence), t.Remedy.With(evidence)}, own
}

// With puts the evidence into the text, in the form that a person reads.
func (w Words) With(evidence []Evidence) Words {
	var zh, en []string
	for _, e := range evidence {
		name, shown := "{"+string(e.Fact)+"}", e.Shown()
		zh, en = append(zh, name, shown.ZH), append(en, name, shown.EN)
	}
	return Words{strings.NewReplacer(zh...).Replace(w.ZH), strings.NewReplacer(en...).Replace(w.EN)}
}

// Where is the menu in WeCom's admin console where the check's setting is; empty if
// there is none.
func (c Check) Where() Words { return places[c] }

// StepTexts are the title of a set-up step, and its menu in WeCom's admin console.
func StepTexts(step int) (title, where Words) {
	t := steps[step]
	return t.title, t.check.Where()
}

// steps are the set-up steps by number, each with the check that decides whether the
// step is done.
var steps = [Steps]struct {
	name  string
	title Words
	check Check
}{
	0: {"company", Words{"企业", "Company"}, CheckCorp},
	1: {"scope", Words{"开启范围", "Members in scope"}, CheckScope},
	2: {"secret", Words{"Secret", "Secret"}, CheckSecret},
	3: {"public_key", Words{"消息加密公钥", "Public key"}, CheckKey},
	4: {"trusted_ip", Words{"可信IP地址", "Trusted addresses"}, CheckTrustedIP},
	5: {"switch_on", Words{"接收事件与开启", "Events and switching on"}, CheckSwitch},
	6: {"chats", Words{"确认收到会话", "Chats appear"}, CheckChats},
	7: {"app", Words{"自建应用（可选）", "Self-built app (optional)"}, CheckApp},
}

var places = map[Check]Words{
	CheckCorp:        {"我的企业 → 企业信息 → 企业ID", "我的企业 → 企业信息 → 企业ID"},
	CheckScope:       {"安全与管理 → 管理工具 → 会话内容存档 → 开启范围", "安全与管理 → 管理工具 → 会话内容存档 → 开启范围"},
	CheckSeats:       {"安全与管理 → 管理工具 → 会话内容存档 → 开启范围", "安全与管理 → 管理工具 → 会话内容存档 → 开启范围"},
	CheckSecret:      {"安全与管理 → 管理工具 → 会话内容存档 → Secret → 查看", "安全与管理 → 管理工具 → 会话内容存档 → Secret → 查看"},
	CheckKey:         {"安全与管理 → 管理工具 → 会话内容存档 → 消息加密公钥 → 设置", "安全与管理 → 管理工具 → 会话内容存档 → 消息加密公钥 → 设置"},
	CheckVersions:    {"安全与管理 → 管理工具 → 会话内容存档 → 消息加密公钥", "安全与管理 → 管理工具 → 会话内容存档 → 消息加密公钥"},
	CheckTrustedIP:   {"安全与管理 → 管理工具 → 会话内容存档 → 可信IP地址", "安全与管理 → 管理工具 → 会话内容存档 → 可信IP地址"},
	CheckSwitch:      {"安全与管理 → 管理工具 → 会话内容存档 → 立即开启", "安全与管理 → 管理工具 → 会话内容存档 → 立即开启"},
	CheckCallback:    {"安全与管理 → 管理工具 → 会话内容存档 → 接收事件服务器", "安全与管理 → 管理工具 → 会话内容存档 → 接收事件服务器"},
	CheckApp:         {"应用管理 → 自建；客户与上下游 → 客户联系 → 可调用接口的应用", "应用管理 → 自建 and 客户与上下游 → 客户联系 → 可调用接口的应用"},
	CheckAppCallback: {"应用管理 → 自建 → 接收消息", "应用管理 → 自建 → 接收消息"},
}

var texts = map[Cause]Text{
	CauseSeats: {
		Words{"开启范围内有 {members} 位成员。成员数超过已购席位数时，超出部分的成员，其消息不会存档，企业微信也不会提示。", "Members in scope: {members}. Members beyond the purchased seats are not archived, and WeCom does not say so."},
		Words{"请确认已购席位不少于 {members} 个。", "Check that the company has at least {members} seats."},
	},
	CauseEmpty: {
		Words{"开启范围内还没有成员。", "No member is in scope."},
		Words{"请在开启范围中添加成员。", "Add members under 开启范围."},
	},
	CauseUnclaimed: {
		Words{"当前公钥还没有填写版本号，可能尚未粘贴到企业微信。", "The public key is not used in WeCom yet."},
		Words{"请把公钥粘贴到企业微信，再填写企业微信显示的版本号。", "Paste the public key in WeCom, then enter the 版本号 that WeCom shows."},
	},
	CauseUnproved: {
		Words{"还没有收到用版本 {version} 的公钥加密的消息。", "No message of version {version} has come yet."},
		Words{"请让一位在开启范围内的成员发一条消息。", "Ask an archived member to send a message."},
	},
	CauseElsewhere: {
		Words{"填写的版本号是 {claimed}，但收到的消息表明，该密钥对应版本 {proved}。", "Version {claimed} was entered; messages prove that the key is version {proved}."},
		Words{"系统已自动改用实际版本，无需处理。", "The archive follows the messages. No action is needed."},
	},
	CauseUnmatched: {
		Words{"缺少版本 {versions} 的密钥，无法解密相应的消息。", "No key opens the messages of version {versions}."},
		Words{"请导入这些版本的私钥，或核对企业微信中的公钥。这些消息中的文件，企业微信只保留 5 天，请尽快处理。", "Import the private keys of these versions, or check the public key in WeCom. WeCom keeps files for five days only."},
	},
	CauseEgress: {
		Words{"企业微信识别到的来源 IP 地址是 {from_ip}，与系统的出口 IP 地址 {trusted_ips} 不同。", "WeCom saw the address {from_ip}. The deployment's addresses are {trusted_ips}."},
		Words{"请联系运维人员检查 NAT 网关与代理。不要把这个地址填入企业微信。", "Operations should check the NAT gateway and the proxy. Do not enter this address in WeCom."},
	},
	CauseSwitchedOff: {
		Words{"存档尚未开启，或已关闭。企业微信只保留最近 5 天的消息。", "Archiving is switched off. WeCom keeps messages for five days only."},
		Words{"请在设置页开启存档。", "Switch archiving on, on the set-up page."},
	},
	CauseUnverified: {
		Words{"企业微信还没有验证回调 URL。", "WeCom has not checked the callback URL."},
		Words{"回调为可选项；未设置时，系统每分钟拉取一次消息。如需设置，请把 URL、Token 与 EncodingAESKey 填入企业微信。", "The callback is optional: without it the archive pulls every minute. To use it, enter URL, Token and EncodingAESKey in WeCom."},
	},
	CauseSilent: {
		Words{"已超过一天没有收到回调事件，但仍能拉取到新消息。", "No callback event has come for more than a day, while messages come."},
		Words{"请核对企业微信中的 URL、Token 与 EncodingAESKey。存档不受影响，只是最多会晚一分钟。", "Compare URL, Token and EncodingAESKey in WeCom. The archive works without callbacks, up to a minute slower."},
	},
	CauseRefused: {
		Words{"今天至少有 {at_least} 个回调请求校验失败，最近一个来自 {source_ip}（{why}）。", "Callback requests that failed their check ({why}) today: at least {at_least}. The newest came from {source_ip}."},
		Words{"如果最近有人填写或修改过回调设置，请核对企业微信中的 Token 与 EncodingAESKey；否则可以忽略。", "If the address is WeCom's, compare Token and EncodingAESKey in WeCom. Ignore requests of other senders."},
	},
	CauseNothing: {
		Words{"企业微信接口正常，但还没有消息。", "WeCom answers, and there is no message yet."},
		Words{"成员需要重新登录企业微信并看到存档提示；与客户的会话，还要求客户没有拒绝存档。请让一位成员发一条消息试试。", "Members must sign in to WeCom again and see the notice about archiving. Customers must not have declined archiving. Ask a member to send a message."},
	},
	CauseLate: {
		Words{"消息拉取已落后两天多，距企业微信开始删除未存档的消息还有 {hours} 小时。", "The archive has not caught up for over two days. Hours left until WeCom deletes messages: {hours}."},
		Words{"请先处理其他有问题的步骤；如果其他步骤都正常，请联系运维人员。", "Fix the other failing steps first. If there is none, tell operations."},
	},
	CauseLosing: {
		Words{"消息拉取已落后 120 小时以上，企业微信可能正在删除未存档的消息。", "The archive has not caught up for 120 hours: WeCom may be deleting messages that are not archived."},
		Words{"请立即处理其他有问题的步骤，并联系运维人员。", "Fix the other failing steps now, and tell operations."},
	},
	CauseLost: {
		Words{"企业微信可能删除了一些未存档的消息，可能有消息丢失的时段已永久记录。", "WeCom may have deleted messages before they were archived. The period is recorded permanently."},
		Words{"丢失的消息无法补回，时段见状态页。", "They cannot be brought back. The status shows the period."},
	},
	CauseGap: {
		Words{"有 {count} 段记录无法从企业微信获取，已在存档台账中记为缺口。", "Ranges of records that could not be fetched from WeCom: {count}. The ledger has them as gaps."},
		Words{"无需处理。审计员可以在台账中查看依据。", "No action is needed. Auditors find the evidence in the ledger."},
	},
	CauseStuck: {
		Words{"{count} 页消息多次解析失败，原始数据已妥善保存。", "Pages that keep failing to decode: {count}. The originals are safe."},
		Words{"请联系运维人员查看 decode 函数的日志。", "Operations should read the log of decode."},
	},
	CauseFilesShort: {
		Words{"{count} 个文件尚未下载，最早到期的一个将于 {until} 被企业微信删除。", "Files not fetched yet: {count}. WeCom deletes the next one at {until}."},
		Words{"请先处理其他有问题的步骤；如果其他步骤都正常，请联系运维人员。", "Fix the other failing steps first. If there is none, tell operations."},
	},
	CauseFilesMissing: {
		Words{"{count} 个文件未能下载，或内容与消息记载不符。", "Files that were not fetched, or differ from their messages: {count}."},
		Words{"可在状态页查看文件列表。已过期的文件无法补回。", "The status lists them. Expired files cannot be brought back."},
	},
	CauseAppUnused: {
		Words{"尚未设置自建应用。", "No self-built app is set up."},
		Words{"此步骤可选。不设置时，成员与客户只显示编号。", "This step is optional. Without it, members and customers are shown by their ids."},
	},

	Cause(archive.ReasonJournal): {
		Words{"原始页缺失或被改动（seq {seq}）。", "A page of the journal is missing or changed (seq {seq})."},
		Words{"请立即联系运维人员，并在状态页点击「核验全部」。", "Tell operations now, and start a verification."},
	},
	Cause(archive.ReasonBadKey): {
		Words{"从 seq {seq} 起，有记录用已验证的密钥也无法解密。", "The proved key does not open some records, from seq {seq}."},
		Words{"请确认企业微信中的公钥是否已被更换；如已更换，请导入对应的私钥。", "Check whether the public key in WeCom was replaced, and import its private key."},
	},
	Cause(archive.ReasonLibrary): {
		Words{"会话内容存档 SDK 拒绝解密某些记录（从 seq {seq} 起），这些记录已原样保留。", "WeCom's library refuses to decrypt some records, from seq {seq}. They are kept unchanged."},
		Words{"可以重新解析；如果仍然失败，请联系运维人员。", "Start a replay. If it fails again, tell operations."},
	},
	Cause(archive.ReasonCrash): {
		Words{"会话内容存档 SDK 处理某些记录时崩溃（从 seq {seq} 起），这些记录已原样保留。", "Some records, from seq {seq}, crash WeCom's library. They are kept unchanged."},
		Words{"请联系运维人员。更新 SDK 后可以重新解析。", "Tell operations. Start a replay after an update of the library."},
	},
	Cause(archive.ReasonHang): {
		Words{"会话内容存档 SDK 处理某些记录时无响应（从 seq {seq} 起），这些记录已原样保留。", "Some records, from seq {seq}, hang WeCom's library. They are kept unchanged."},
		Words{"请联系运维人员。更新 SDK 后可以重新解析。", "Tell operations. Start a replay after an update of the library."},
	},
	Cause(archive.ReasonBadRecord): {
		Words{"从 seq {seq} 起，有记录缺少字段，已原样保留。", "Some records, from seq {seq}, lack fields. They are kept unchanged."},
		Words{"系统升级后可以重新解析。", "Start a replay after an upgrade of the archive."},
	},
}

// answers are the texts of WeCom's answers, and of calls without an answer.
var answers = map[Cause]Text{
	Cause(archive.CauseTrustedIP): {
		Words{"企业微信拒绝了来自 IP 地址 {from_ip} 的请求。", "WeCom refused our address {from_ip}."},
		Words{"请重做第 4 步：将设置页上的 IP 地址填入「会话内容存档」的「可信IP地址」，约一分钟后生效。", "Redo step 4: enter the addresses of the set-up page under 可信IP地址 on WeCom's 会话内容存档 page. The change takes effect after about a minute."},
	},
	Cause(archive.CauseSecret): {
		Words{"企业微信不接受已保存的 Secret：可能填写有误，或已在企业微信中重置。", "WeCom does not accept the saved Secret: it is wrong or was reset."},
		Words{"请重做第 2 步：在「会话内容存档」页面重新查看 Secret，粘贴到设置页并保存，系统会立即重试。", "Redo step 2: view the Secret on WeCom's 会话内容存档 page again and save it. The archive tries it at once."},
	},
	Cause(archive.CauseDisabled): {
		Words{"会话内容存档应用已在企业微信中停用。", "The archive's app is switched off in WeCom."},
		Words{"请在企业微信管理后台启用会话内容存档，然后重新检查。", "Switch 会话内容存档 on in WeCom's admin console, then check again."},
	},
	Cause(archive.CauseUnverified): {
		Words{"该企业尚未通过企业微信认证，不能使用会话内容存档。", "The company is not verified in WeCom, so it cannot use 会话内容存档."},
		Words{"请先在企业微信管理后台完成企业认证。", "Complete 企业认证 in WeCom's admin console first."},
	},
	Cause(archive.CauseSecretKind): {
		Words{"已保存的是其他应用的 Secret，没有会话内容存档的权限。", "The saved Secret belongs to another app, which has no permission to read the archive."},
		Words{"请重做第 2 步：使用「会话内容存档」页面上的 Secret。", "Redo step 2: use the Secret on WeCom's 会话内容存档 page."},
	},
	Cause(archive.CauseSecretMissing): {
		Words{"尚未保存 Secret。", "No Secret is saved."},
		Words{"请完成第 2 步：在「会话内容存档」页面查看 Secret，并在设置页保存。", "Do step 2: view the Secret on WeCom's 会话内容存档 page and save it."},
	},
	Cause(archive.CauseCorpID): {
		Words{"企业微信无法识别该企业ID。", "WeCom does not know this corpid."},
		Words{
			"企业ID 来自登录账号。请与企业微信「我的企业 → 企业信息」中的企业ID 核对；如不一致，请联系登录系统的管理员更正该账号的声明 corp，然后重新登录。",
			"The corpid comes from the sign-in. Compare it with 我的企业 → 企业信息 in WeCom. If it differs, ask the administrator of your sign-in to correct the claim corp, then sign in again.",
		},
	},
	Cause(archive.CauseExpired): {
		Words{"企业微信的会话内容存档服务已到期。", "The corp's 会话内容存档 service has expired."},
		Words{"请在企业微信管理后台续费。已存档的内容不受影响。", "Renew the service in WeCom's admin console. Archived chats stay readable."},
	},
	Cause(archive.CauseNotOpen): {
		Words{"企业微信返回：会话内容存档尚未开启。", "WeCom reports that 会话内容存档 is not switched on."},
		Words{"请重做第 1 步与第 5 步：设置开启范围，确认消息加密公钥已填写，然后点击「立即开启」。", "Redo steps 1 and 5: choose the members, check that the public key is set, and switch the service on."},
	},
	Cause(archive.CauseRate): {
		Words{"接口调用过于频繁，企业微信已限制调用。", "WeCom limits our calls because they are too frequent."},
		Words{"无需处理，系统会降低调用频率并自动继续。如果有其他程序使用同一个 Secret，请停用这些程序。", "No action is needed. The archive slows down and continues. If other programs use the same Secret, stop them."},
	},
	Cause(archive.CauseShare): {
		Words{"该企业的 Secret 近期多次被企业微信拒绝，系统已暂停尝试。", "WeCom refused too many Secrets of this company recently. The next try waits."},
		Words{"请核对第 2 步的 Secret，如有误，请更正并保存。到下次尝试时间（见设置页，接口字段为 secret.next_try），系统会自动重试。", "Check the Secret of step 2 and save the right one. The archive tries it automatically when the wait is over; the set-up shows the time as secret.next_try."},
	},
	Cause(archive.CauseBudget): {
		Words{"近期企业微信拒绝 Secret 的次数过多（各企业合计）。为避免 IP 地址被企业微信封禁，系统已暂停尝试新的 Secret。", "WeCom refused too many Secrets lately. The archive pauses so that WeCom does not ban its address."},
		Words{"请确认第 2 步的 Secret 正确，系统稍后会自动重试。", "Check that the Secret of step 2 is correct. The archive tries again later."},
	},
	Cause(archive.CauseNetwork): {
		Words{"无法连接企业微信。", "WeCom is unreachable."},
		Words{"系统会自动重试。如果问题持续，请联系运维人员检查网络与代理。", "The archive tries again. If the trouble persists, operations should check the network and the proxy."},
	},
	Cause(archive.CauseBusy): {
		Words{"企业微信系统繁忙。", "WeCom is busy."},
		Words{"无需处理，系统会自动重试。", "No action is needed. The archive tries again."},
	},
	Cause(archive.CauseTLS): {
		Words{"无法与企业微信建立加密连接：证书校验失败。", "No encrypted connection to WeCom is possible: certificate check failed."},
		Words{"请联系运维人员检查系统时间和根证书，并确认没有代理在解密 HTTPS 流量。", "Operations should check the clock, the root certificates, and any proxy that decrypts TLS."},
	},
	Cause(archive.CauseLibraryMissing): {
		Words{"无法加载企业微信的会话内容存档 SDK。", "WeCom's library cannot be loaded."},
		Words{"请联系运维人员检查部署中名为 finance-sdk 的 Lambda 层。", "Operations should check the finance-sdk layer of the deployment."},
	},
	Cause(archive.CauseLibraryCrash): {
		Words{"企业微信的会话内容存档 SDK 崩溃、无响应或返回异常。", "WeCom's library crashed, hung, or gave an invalid answer."},
		Words{"系统会自动重试，消息不会因此丢失。如果问题持续，请联系运维人员。", "The archive tries again, and no message is lost. If the trouble persists, contact operations."},
	},
	Cause(archive.CauseBadAnswer): {
		Words{"企业微信返回的内容格式不正确。", "WeCom's answer has an invalid format."},
		Words{"系统会自动重试。如果问题持续，请联系运维人员。", "The archive tries again. If the trouble persists, contact operations."},
	},
	Cause(archive.CauseRecordTooLarge): {
		Words{"有一条记录过大，无法获取。系统会跳过它，继续获取后面的记录。", "A record is too large to fetch. The archive is skipping it."},
		Words{"无需处理。这条记录会在存档台账中记为「缺口」（企业微信未能提供的记录）。", "No action is needed. The ledger records the record as a gap."},
	},
	Cause(archive.CauseUnknownResponse): {
		Words{"企业微信返回了未知的错误码。", "WeCom answered with an unknown code."},
		Words{"系统会自动重试。如果问题持续，请将错误码提供给运维人员。", "The archive tries again. If the trouble persists, send support the code."},
	},
}

// appTexts say the same as the texts of a cause, with the remedy at the self-built
// app.
var appTexts = map[Cause]Text{
	CauseUnverified: {
		Words{"企业微信还没有验证自建应用的回调 URL。", "WeCom has not checked the callback URL of the self-built app."},
		Words{
			"此回调为可选项；未设置时，系统收不到客户同意存档的事件，名称变更后最多一周才更新。如需设置，请把 URL、Token 与 EncodingAESKey 填入该应用的「接收消息」。",
			"This callback is optional: without it the archive gets no event when a customer agrees, and learns of a changed name within a week. To use it, enter URL, Token and EncodingAESKey under 接收消息 of the app.",
		},
	},
	Cause(archive.CauseTrustedIP): {
		Words{"企业微信拒绝了从 IP 地址 {from_ip} 发出的自建应用接口请求。", "WeCom refused our address {from_ip} for the self-built app."},
		Words{"请重做第 7 步：将设置页上的 IP 地址填入该自建应用的「企业可信IP」，约一分钟后生效。", "Redo step 7: enter the addresses of the set-up page under 企业可信IP of the self-built app. The change takes effect after about a minute."},
	},
	Cause(archive.CauseSecret): {
		Words{"企业微信不接受已保存的自建应用 Secret：可能填写有误，或已在企业微信中重置，或应用已停用。", "WeCom does not accept the saved Secret of the self-built app: the Secret is wrong or was reset, or the app is disabled."},
		Words{"请重做第 7 步：在该自建应用的详情页重新查看 Secret，粘贴到设置页并保存，系统会立即重试。", "Redo step 7: view the Secret on the page of the self-built app again and save it. The archive tries it at once."},
	},
	Cause(archive.CauseSecretKind): {
		Words{"已保存的 Secret 没有查询姓名与客户信息的权限。", "The saved Secret has no permission to read names and customers."},
		Words{"请重做第 7 步：保存自建应用的 Secret，启用该应用，并在「客户联系」的「可调用接口的应用」中勾选该应用。", "Redo step 7: save the Secret of a self-built app, enable the app, and tick it in 可调用接口的应用 under 客户联系."},
	},
	Cause(archive.CauseSecretMissing): {
		Words{"尚未保存自建应用的 Secret。", "No Secret of a self-built app is saved."},
		Words{"请完成第 7 步：在自建应用的详情页查看 Secret，并在设置页保存。", "Do step 7: view the Secret on the page of a self-built app and save it."},
	},
}

// bare is what a text says without a fact that not every such case has: WeCom's answer
// named no address, or every waiting file is late. The key is the text with the fact.
var bare = map[Words]struct {
	without Fact
	what    Words
}{
	answers[Cause(archive.CauseTrustedIP)].What:  {FactFromIP, Words{"企业微信拒绝了来自系统出口 IP 地址的请求。", "WeCom refused our address."}},
	appTexts[Cause(archive.CauseTrustedIP)].What: {FactFromIP, Words{"企业微信拒绝了从系统出口 IP 地址发出的自建应用接口请求。", "WeCom refused our address for the self-built app."}},
	texts[CauseFilesShort].What:                  {FactUntil, Words{"{count} 个文件尚未下载，其中一些可能已被企业微信删除。", "Files not fetched yet: {count}. WeCom may have deleted some of them."}},
}

// Names of the facts, for people.
var factNames = map[Fact]Words{
	FactCorpID:     {"企业ID", "Corp ID"},
	FactMembers:    {"范围内的成员", "Members in scope"},
	FactSetAt:      {"保存时间", "Saved"},
	FactMasked:     {"已保存的 Secret", "Saved Secret"},
	FactVersion:    {"版本号", "Version"},
	FactVersions:   {"缺少密钥的版本", "Versions without a key"},
	FactClaimed:    {"填写的版本号", "Version entered"},
	FactProved:     {"实际版本号（由消息验证）", "Version proved by messages"},
	FactCount:      {"数量", "Number"},
	FactAtLeast:    {"数量（至少）", "Number, at least"},
	FactFilesUntil: {"文件最早到期时间", "First file expires"},
	FactSeq:        {"起始 seq", "First seq"},
	FactFromIP:     {"企业微信识别到的来源 IP 地址", "Address that WeCom saw"},
	FactTrustedIPs: {"系统的出口 IP 地址", "Addresses of the archive"},
	FactOnList:     {"是否为系统的出口 IP 地址", "An address of the archive"},
	FactBy:         {"操作人", "Changed by"},
	FactReason:     {"原因", "Reason"},
	FactLastCall:   {"最近一次拉取时间", "WeCom last asked"},
	FactEventAt:    {"最近一次事件时间", "Last event"},
	FactVerifiedAt: {"URL 验证时间", "URL checked"},
	FactWhy:        {"校验失败原因", "Check that failed"},
	FactSourceIP:   {"来源 IP 地址", "Address of the sender"},
	FactHours:      {"距企业微信删除（小时）", "Hours until WeCom deletes"},
	FactUntil:      {"截止时间", "Until"},
	FactOldest:     {"最早的解析请求时间", "Oldest request for decoding"},
	FactAccess:     {"自建应用的权限", "Permission of the app"},
}

// values are the words for values that are terms of ours.
var values = map[Fact]map[string]Words{
	FactOnList: {"yes": {"是", "yes"}, "no": {"否", "no"}},
	FactWhy: {
		string(archive.RefusedSignature): {"签名不符，Token 不一致", "wrong signature, another Token"},
		string(archive.RefusedDecrypt):   {"无法解密，EncodingAESKey 不同", "not decrypted, another EncodingAESKey"},
		string(archive.RefusedReceiver):  {"另一家企业的事件", "an event of another company"},
	},
	FactAccess: {
		string(directory.AccessMembers):   {"成员姓名", "names of members"},
		string(directory.AccessCustomers): {"客户与客户群", "customers and their rooms"},
	},
}

// Shown is the value as people read it: a time in Beijing's, a term of ours in
// words, and any other value as it is.
func (e Evidence) Shown() Words {
	if w, ok := values[e.Fact][e.Value]; ok {
		return w
	}
	switch e.Fact {
	case FactSetAt, FactFilesUntil, FactLastCall, FactEventAt, FactVerifiedAt, FactUntil, FactOldest:
		if at, err := time.Parse(time.RFC3339, e.Value); err == nil {
			return Words{archive.ClockOf(at), archive.ClockOf(at) + " (Beijing)"}
		}
	}
	return Words{e.Value, e.Value}
}

// Name is the fact's name for people.
func (f Fact) Name() Words { return factNames[f] }
