//! Language tags — BCP 47 (RFC 5646), and the codes of ISO 639-2 that they shorten.

/// Codes of ISO 639-2, bibliographic ones too, that have a shorter one in ISO 639-1: RFC 5646 §2.2.1 wants that.
const SHORTER: &str = "\
    aar=aa abk=ab afr=af aka=ak alb=sq amh=am ara=ar arg=an arm=hy asm=as ava=av ave=ae aym=ay aze=az \
    bak=ba bam=bm baq=eu bel=be ben=bn bih=bh bis=bi bod=bo bos=bs bre=br bul=bg bur=my cat=ca ces=cs \
    cha=ch che=ce chi=zh chu=cu chv=cv cor=kw cos=co cre=cr cym=cy cze=cs dan=da deu=de div=dv dut=nl \
    dzo=dz ell=el eng=en epo=eo est=et eus=eu ewe=ee fao=fo fas=fa fij=fj fin=fi fra=fr fre=fr fry=fy \
    ful=ff geo=ka ger=de gla=gd gle=ga glg=gl glv=gv gre=el grn=gn guj=gu hat=ht hau=ha heb=he her=hz \
    hin=hi hmo=ho hrv=hr hun=hu hye=hy ibo=ig ice=is ido=io iii=ii iku=iu ile=ie ina=ia ind=id ipk=ik \
    isl=is ita=it jav=jv jpn=ja kal=kl kan=kn kas=ks kat=ka kau=kr kaz=kk khm=km kik=ki kin=rw kir=ky \
    kom=kv kon=kg kor=ko kua=kj kur=ku lao=lo lat=la lav=lv lim=li lin=ln lit=lt ltz=lb lub=lu lug=lg \
    mac=mk mah=mh mal=ml mao=mi mar=mr may=ms mkd=mk mlg=mg mlt=mt mol=ro mon=mn mri=mi msa=ms mya=my \
    nau=na nav=nv nbl=nr nde=nd ndo=ng nep=ne nld=nl nno=nn nob=nb nor=no nya=ny oci=oc oji=oj ori=or \
    orm=om oss=os pan=pa per=fa pli=pi pol=pl por=pt pus=ps que=qu roh=rm ron=ro rum=ro run=rn rus=ru \
    sag=sg san=sa scc=sr scr=hr sin=si slk=sk slo=sk slv=sl sme=se smo=sm sna=sn snd=sd som=so sot=st \
    spa=es sqi=sq srd=sc srp=sr ssw=ss sun=su swa=sw swe=sv tah=ty tam=ta tat=tt tel=te tgk=tg tgl=tl \
    tha=th tib=bo tir=ti ton=to tsn=tn tso=ts tuk=tk tur=tr twi=tw uig=ug ukr=uk urd=ur uzb=uz ven=ve \
    vie=vi vol=vo wel=cy wln=wa wol=wo xho=xh yid=yi yor=yo zha=za zho=zh zul=zu";

/// The bibliographic ones among them, and those that are out of use.
const BIBLIOGRAPHIC: &str =
    "alb arm baq bur chi cze dut fre geo ger gre ice mac mao may mol per rum scc scr slo tib wel";

/// The tag in its shortest form and usual case: `eng` and `EN` are `en`, `por-br` is `pt-BR`. `None` for what is no
/// language tag, and for the undetermined language.
pub fn language_tag(text: &str) -> Option<String> {
    let mut subtags = text.trim().split(['-', '_']);
    let primary = subtags.next()?.to_ascii_lowercase();
    // Four letters are reserved, and of more there is none: §2.2.1.
    if !(2..=3).contains(&primary.len())
        || !primary.chars().all(|c| c.is_ascii_lowercase())
        || primary == "und"
    {
        return None;
    }
    let mut tag = shorter(&primary).unwrap_or(&primary).to_owned();
    let (mut is_private, mut last) = (false, primary.len());
    for subtag in subtags {
        if !(1..=8).contains(&subtag.len()) || !subtag.chars().all(|c| c.is_ascii_alphanumeric()) {
            return None;
        }
        tag.push('-');
        tag.push_str(&match subtag.len() {
            2 if !is_private => subtag.to_ascii_uppercase(),
            4 if !is_private => capitalized(subtag),
            _ => subtag.to_ascii_lowercase(),
        });
        // Behind a singleton no subtag is a region or a script: §2.1.1.
        is_private |= subtag.len() == 1;
        last = subtag.len();
    }
    // Something stands behind a singleton: §2.1.
    (last > 1).then_some(tag)
}

/// The code of ISO 639-2/T that a tag begins with, or that is the long form of what it begins with.
pub fn long_language(tag: &str) -> Option<String> {
    let tag = language_tag(tag)?;
    let primary = tag.split('-').next()?;
    let is_long = |(long, short): &(&str, &str)| *short == primary && !BIBLIOGRAPHIC.contains(long);
    let long = pairs().find(is_long).map(|(long, _)| long);
    long.or_else(|| Some(primary).filter(|primary| primary.len() == 3)).map(str::to_owned)
}

/// Whether a code is that of a language in ISO 639-1, or has one there.
pub fn is_common_language(code: &str) -> bool {
    pairs().any(|(long, short)| [long, short].contains(&code))
}

fn shorter(code: &str) -> Option<&'static str> {
    pairs().find(|(long, _)| *long == code).map(|(_, short)| short)
}

fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHORTER.split_whitespace().filter_map(|pair| pair.split_once('='))
}

fn capitalized(text: &str) -> String {
    let (first, rest) = text.split_at(text.len().min(1));
    first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_as_short_as_they_can_be() {
        for (text, tag) in [
            ("eng", "en"),
            ("deu", "de"),
            ("ger", "de"),
            ("fre", "fr"),
            ("chi", "zh"),
            ("EN", "en"),
            ("gsw", "gsw"),
            ("por-br", "pt-BR"),
            ("zho-HANS-cn", "zh-Hans-CN"),
            ("es_419", "es-419"),
            ("en-x-AB", "en-x-ab"),
            ("qaa", "qaa"),
        ] {
            assert_eq!(language_tag(text).as_deref(), Some(tag), "{text}");
        }
        for text in ["", "und", "e", "e1", "english!", "en-", "en-toolongsub", "en us", "klingon_x", "en-x"] {
            assert_eq!(language_tag(text), None, "{text}");
        }
        assert!(is_common_language("fra") && is_common_language("fr") && !is_common_language("mp"));
    }
}
