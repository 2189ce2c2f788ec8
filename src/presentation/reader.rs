//! Manifests read, each once, and the playlists that they name — RFC 8216bis §4.4.6, ISO/IEC 23009-1 §5.3.1.

use std::collections::{HashMap, HashSet};

use crate::base::env::Store;
use crate::base::{Error, ManifestKind, Result};
use crate::dash::Mpd;
use crate::hls::multivariant::{self, Rendition};
use crate::hls::{Playlist, PlaylistKind};

use super::{
    Asset, Content, MediaPlaylist, MpdDocument, Multivariant, OtherFile, OtherKind, Resource, ResourceId,
    SegmentIndex, kind_of_file, read_manifest,
};

/// Manifests and what they name.
#[derive(Default)]
pub struct Presentation {
    /// Multivariant playlists.
    pub multivariants: Vec<Multivariant>,
    /// Media playlists, each once; those of I-frames come last, as what they name lies inside segments of the others.
    pub playlists: Vec<MediaPlaylist>,
    /// MPDs.
    pub mpds: Vec<MpdDocument>,
    /// Where segments lie that are no I-frames.
    pub segments: SegmentIndex,
    /// What interstitials play.
    pub assets: Vec<Asset>,
    known: HashSet<String>,
}

/// What is wrong with a manifest.
#[derive(Debug)]
pub struct Fault {
    /// Its name.
    pub place: String,
    /// What is wrong, with its place.
    pub error: Error,
}

impl Presentation {
    /// Reads manifests and the playlists that they name.
    ///
    /// # Errors
    /// When one of them is missing or is not what its standard says.
    pub fn read(store: &dyn Store, names: &[String]) -> Result<Self> {
        let mut presentation = Self::default();
        match presentation.add(store, names).into_iter().next() {
            Some(fault) => Err(fault.error),
            None => Ok(presentation),
        }
    }

    /// Adds manifests and the playlists that they name, each once, and says what is wrong with each; the others are
    /// read all the same.
    pub fn add(&mut self, store: &dyn Store, names: &[String]) -> Vec<Fault> {
        let faults = self.add_media(store, names);
        self.find_assets(store);
        faults
    }

    /// The same without what interstitials play.
    pub(super) fn add_media(&mut self, store: &dyn Store, names: &[String]) -> Vec<Fault> {
        let (mut faults, mut media) = (Vec::new(), Vec::new());
        for name in names {
            let added = match kind_of_file(store, name) {
                _ if self.known.contains(name) => Ok(()),
                Ok(Some(ManifestKind::Dash)) => self.add_mpd(store, name),
                Ok(Some(ManifestKind::Hls)) => self.add_playlist(store, name, &mut media, &mut faults),
                Ok(None) => Err(Error::unsupported("neither an MPD nor a playlist").at(name)),
                Err(error) => Err(error),
            };
            faults.extend(added.err().map(|error| Fault::new(name, error)));
        }
        // What a media playlist carries, and its variables, are said where it is named.
        for (name, playlist) in media {
            if self.known.insert(name.clone()) {
                match MediaPlaylist::read(store, &name, playlist) {
                    Ok(media) => self.playlists.push(media),
                    Err(error) => faults.push(Fault::new(&name, error.at(&name))),
                }
            }
        }
        self.place();
        self.drop_named();
        faults
    }

    fn add_mpd(&mut self, store: &dyn Store, name: &str) -> Result<()> {
        let bytes = read_manifest(store, name)?;
        self.known.insert(name.to_owned());
        let document = Mpd::parse(&bytes).and_then(|mpd| MpdDocument::read(store, name, mpd));
        self.mpds.push(document.map_err(|error| error.at(name))?);
        Ok(())
    }

    /// Adds a multivariant playlist and those that it names; `media` gets a media playlist.
    fn add_playlist(
        &mut self,
        store: &dyn Store,
        name: &str,
        media: &mut Vec<(String, Playlist)>,
        faults: &mut Vec<Fault>,
    ) -> Result<()> {
        let at = |error: Error| error.at(name);
        let playlist = Playlist::parse(&read_manifest(store, name)?).map_err(at)?;
        if playlist.kind().map_err(at)? == PlaylistKind::Media {
            media.push((name.to_owned(), playlist));
            return Ok(());
        }
        self.known.insert(name.to_owned());
        let indexes = self.playlists.iter().enumerate().map(|(index, media)| (media.name.clone(), index));
        let mut found: HashMap<String, usize> = indexes.collect();
        for rendition in multivariant::renditions(&playlist).map_err(at)? {
            let media_name = match store.resolve(name, &rendition.uri) {
                Ok(media_name) => media_name,
                Err(error) => {
                    faults.push(Fault::new(name, at(error)));
                    continue;
                }
            };
            if let Some(media) = found.get(&media_name).and_then(|index| self.playlists.get_mut(*index)) {
                media.content = media.content.max(Content::of_rendition(&rendition.kind));
                media.named_by.push(rendition);
                continue;
            }
            match self.add_media_playlist(store, &media_name, &playlist, rendition) {
                Ok(()) => drop(found.insert(media_name, self.playlists.len() - 1)),
                Err(error) => faults.push(Fault::new(&media_name, error)),
            }
        }
        self.multivariants.push(Multivariant::read(store, name, playlist).map_err(at)?);
        Ok(())
    }

    /// Adds a media playlist that a multivariant one names.
    fn add_media_playlist(
        &mut self,
        store: &dyn Store,
        name: &str,
        multivariant: &Playlist,
        rendition: Rendition,
    ) -> Result<()> {
        let at = |error: Error| error.at(name);
        let bytes = read_manifest(store, name)?;
        self.known.insert(name.to_owned());
        let mut playlist = Playlist::parse(&bytes).map_err(at)?;
        playlist.named_by(multivariant, &rendition.uri).map_err(at)?;
        let mut media = MediaPlaylist::read(store, name, playlist).map_err(at)?;
        media.content = Content::of_rendition(&rendition.kind);
        media.named_by.push(rendition);
        self.playlists.push(media);
        Ok(())
    }

    /// Finds out which resources lie inside segments, when all manifests are there: I-frames (RFC 8216bis §4.4.3.6),
    /// partial segments (§4.4.4.9), and the program tables that an I-frame playlist names (§3.1.1).
    fn place(&mut self) {
        self.playlists.sort_by_key(|media| media.is_i_frames);
        self.segments = SegmentIndex::of(&self.playlists);
        for media in &mut self.playlists {
            media.place(&self.segments);
        }
    }

    /// The files of media that are to be there.
    fn media_files(&self) -> impl Iterator<Item = &String> {
        let media = self.playlists.iter().flat_map(MediaPlaylist::present);
        let tracks = self.mpds.iter().flat_map(|mpd| &mpd.tracks);
        media.chain(tracks.flat_map(|track| &track.resources)).map(|resource| &resource.file)
    }

    /// What a tag that is known names as well is no other file.
    fn drop_named(&mut self) {
        let named: HashSet<String> = self.media_files().cloned().collect();
        let multivariants = self.multivariants.iter_mut().map(|multivariant| &mut multivariant.others);
        let mpds = self.mpds.iter_mut().map(|mpd| &mut mpd.others);
        let playlists = self.playlists.iter_mut().map(|media| &mut media.others);
        for others in playlists.chain(multivariants).chain(mpds) {
            others.retain(|other| !named.contains(&other.file) && !self.known.contains(&other.file));
        }
    }

    /// Whether a manifest was read.
    pub(super) fn knows(&self, manifest: &str) -> bool {
        self.known.contains(manifest)
    }

    /// Every file that is named: manifests, media, and others of this presentation.
    pub fn named(&self) -> impl Iterator<Item = &String> {
        let multivariants =
            self.multivariants.iter().flat_map(|one| std::iter::once(&one.name).chain(files(&one.others)));
        let playlists =
            self.playlists.iter().flat_map(|one| std::iter::once(&one.name).chain(files(&one.others)));
        let mpds = self.mpds.iter().flat_map(|one| std::iter::once(&one.name).chain(files(&one.others)));
        multivariants.chain(playlists).chain(mpds).chain(self.media_files())
    }

    /// A resource of a playlist.
    pub fn resource(&self, id: ResourceId) -> Option<&Resource> {
        self.playlists.get(id.playlist)?.resources.get(id.resource)
    }
}

/// Those of a presentation itself, below its folder.
fn files(others: &[OtherFile]) -> impl Iterator<Item = &String> {
    let is_own = |other: &&OtherFile| matches!(other.kind, OtherKind::SessionData | OtherKind::Unknown);
    others.iter().filter(is_own).map(|other| &other.file)
}

impl Fault {
    fn new(place: &str, error: Error) -> Self {
        Self { place: place.to_owned(), error }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Role;
    use super::*;
    use crate::base::env::{Sink, Source};

    /// Files in memory.
    struct Files(BTreeMap<&'static str, &'static str>);

    impl Store for Files {
        fn open(&self, name: &str) -> Result<Box<dyn Source>> {
            let text = self.0.get(name).ok_or_else(|| Error::input("the file is missing").at(name))?;
            Ok(Box::new(text.as_bytes().to_vec()))
        }

        fn exists(&self, name: &str) -> Result<bool> {
            Ok(self.0.contains_key(name))
        }

        fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
            Err(Error::storage(name))
        }
    }

    const MASTER: &str = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"f\",VALUE=\"a\"\n\
        #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"s\",URI=\"both.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"t\",URI=\"gone.m3u8\"\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n\
        #EXT-X-IMAGE-STREAM-INF:BANDWIDTH=1,URI=\"images.m3u8\"\n#EXT-X-SOMETHING:URI=\"x.json\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\nboth.m3u8\n";
    const V: &str = "#EXTM3U\n#EXT-X-DEFINE:IMPORT=\"f\"\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:5\n\
        #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n#EXTINF:2,\n#EXT-X-BYTERANGE:100@0\n{$f}.ts\n\
        #EXTINF:2,\n#EXT-X-GAP\nhttps://elsewhere.example/1.ts\n#EXTINF:2,\n#EXT-X-BYTERANGE:100@100\n{$f}.ts\n\
        #EXT-X-PART:DURATION=1,URI=\"p\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"q\"\n";
    const I: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-I-FRAMES-ONLY\n\
        #EXT-X-MAP:URI=\"a.ts\",BYTERANGE=\"10@100\"\n#EXTINF:2,\n#EXT-X-BYTERANGE:20@110\na.ts\n";
    const OTHER: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n0\n";

    #[test]
    fn everything_is_read_with_what_it_is_for_and_what_is_wrong_beside_it() {
        let files =
            [("m.m3u8", MASTER), ("v.m3u8", V), ("i.m3u8", I), ("both.m3u8", OTHER), ("images.m3u8", OTHER)];
        let store = Files(files.into_iter().collect());
        // A playlist that is given as well is what the multivariant one says.
        let names = ["both.m3u8", "v.m3u8", "m.m3u8"].map(str::to_owned);
        let mut read = Presentation::default();
        let faults = read.add(&store, &names);
        assert_eq!(faults.iter().map(|fault| fault.place.as_str()).collect::<Vec<_>>(), ["gone.m3u8"]);
        assert!(Presentation::read(&store, &names).is_err());
        let content = |name: &str| read.playlists.iter().find(|media| media.name == name).unwrap().content;
        assert_eq!(["both.m3u8", "images.m3u8"].map(content), [Content::Media, Content::Images]);
        assert_eq!(read.multivariants[0].others[0].file, "x.json");
        let i_frames = read.playlists.last().unwrap();
        assert_eq!(i_frames.name, "i.m3u8");
        let roles: Vec<_> = i_frames.resources.iter().map(|resource| resource.role).collect();
        assert_eq!(roles, [Role::Tables, Role::Segment]);
        for resource in &i_frames.resources {
            let parent_segment = read.resource(resource.inside.unwrap()).unwrap();
            assert_eq!(
                (parent_segment.bounds(), parent_segment.sequence, parent_segment.number),
                (Some((100, 200)), 7, 2)
            );
            assert!(resource.init.is_none());
        }
        let video = read.playlists.iter().find(|media| media.name == "v.m3u8").unwrap();
        let found: Vec<_> = video
            .resources
            .iter()
            .map(|one| (one.role, one.gap, one.file.as_str(), one.sequence, one.begins))
            .collect();
        let (segment, elsewhere) = (Role::Segment, "https://elsewhere.example/1.ts");
        let expected = [
            (segment, false, "a.ts", 5, 0.0),
            (segment, true, elsewhere, 6, 2.0),
            (segment, false, "a.ts", 7, 4.0),
            (Role::Part, false, "p", 8, 6.0),
            (Role::Hint, true, "q", 8, 6.0),
        ];
        assert_eq!(found, expected);
        assert!(video.resources.iter().all(|resource| resource.keys.len() == 1));
    }
}
