// The emoji codes of WeChat and WeCom, such as [微笑]. A text holds the code and the
// client draws its own picture; these Unicode characters have the same meaning. A
// code that is absent here is shown as it is.
const table =
  '微笑🙂 撇嘴😟 色😍 发呆😧 得意😎 流泪😢 害羞😳 闭嘴🤐 睡😴 大哭😭 尴尬😅 发怒😡 调皮😜 呲牙😁 惊讶😮 难过🙁 酷😎 冷汗😰 抓狂😫 吐🤮 ' +
  '偷笑🤭 愉快😊 白眼🙄 傲慢😤 饥饿😋 困😪 惊恐😱 流汗😓 憨笑😄 悠闲😌 奋斗💪 咒骂🤬 疑问❓ 嘘🤫 晕😵 疯了🤪 折磨😖 衰😞 骷髅💀 敲打🔨 ' +
  '再见👋 擦汗😥 抠鼻👃 鼓掌👏 糗大了😳 坏笑😏 左哼哼😤 右哼哼😤 哈欠🥱 鄙视😒 委屈🥺 快哭了🥹 阴险😈 亲亲😘 吓😨 可怜🥺 菜刀🔪 西瓜🍉 ' +
  '啤酒🍺 篮球🏀 乒乓🏓 咖啡☕ 饭🍚 猪头🐷 玫瑰🌹 凋谢🥀 嘴唇👄 爱心❤️ 心碎💔 蛋糕🎂 闪电⚡ 炸弹💣 刀🗡️ 足球⚽ 瓢虫🐞 便便💩 月亮🌙 ' +
  '太阳☀️ 礼物🎁 拥抱🤗 强👍 弱👎 握手🤝 胜利✌️ 抱拳🙏 勾引☝️ 拳头✊ 差劲👎 爱你🤟 NO🙅 OK👌 爱情💑 飞吻😚 跳跳🤸 发抖🥶 怄火😤 转圈💃 ' +
  '磕头🙇 回头🔙 跳绳🤾 挥手👋 激动🤩 街舞🕺 献吻💋 左太极☯️ 右太极☯️ 嘿哈😝 捂脸🤦 奸笑😼 机智🤓 皱眉😣 耶✌️ 红包🧧 茶🍵 蜡烛🕯️ ' +
  '强壮💪 吃瓜🍉 加油💪 汗😓 天啊😱 Emm🤔 社会社会🤝 旺柴🐶 好的👌 打脸🤕 哇🤩 翻白眼🙄 666🤙 让我看看🫣 叹气😮‍💨 苦涩🥲 裂开🫠 合十🙏 ' +
  '庆祝🎉 爆竹🧨 烟花🎆 生病🤒 破涕为笑😂 恐惧😨 脸红😊 笑脸😄 失望😞 无语😑 鬼魂👻 囧😵‍💫 發🀅 福🏮 鲜花💐 干杯🍻 收到👌 OKAY👌 赞👍 比心🫶'

/** Emoji by code, without the brackets. */
export const emoji: ReadonlyMap<string, string> = new Map(
  table.split(' ').map((entry) => {
    const at = entry.search(/[^\p{Script=Han}A-Za-z0-9]/u)
    return [entry.slice(0, at), entry.slice(at)]
  }),
)
